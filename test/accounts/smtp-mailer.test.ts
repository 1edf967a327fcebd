import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSmtpMailer } from '../../src/accounts/smtp-mailer.ts';

const received: { to: string[]; raw: string }[] = [];
const server = new SMTPServer({
  authOptional: false,
  disabledCommands: ['STARTTLS'],
  onAuth: ({ username, password }, _session, done) =>
    username === 'handoff' && password === 'p@ss' ? done(null, { user: username }) : done(new Error('no')),
  onRcptTo: ({ address }, _session, done) => done(address.startsWith('nobody') ? new Error('no such mailbox') : null),
  onData: (stream, session, done) => {
    void text(stream).then((raw) => {
      received.push({ to: session.envelope.rcptTo.map(({ address }) => address), raw });
      done();
    });
  },
});
let port = 0;
beforeAll(async () => {
  const listening = server.listen(0, '127.0.0.1', () => undefined);
  await once(listening, 'listening');
  port = (server.server.address() as AddressInfo).port;
});
afterAll(() => new Promise<void>((resolve) => server.close(resolve)));

const mailerOf = (login: string) =>
  createSmtpMailer({ smtpUrl: `smtp://${login}@127.0.0.1:${port}`, from: 'Handoff <no-reply@aurora.example>' });

describe('a mail by SMTP', () => {
  it('brings the code, and the word that there is an account already, to one mailbox each', async () => {
    const mailer = mailerOf('handoff:p%40ss');
    await mailer.sendCode('ada@aurora.example', 'K7PX4M', 15);
    await mailer.sendAlreadyRegistered('ada@aurora.example');
    await mailer.close();
    expect(received.map(({ to }) => to)).toEqual([['ada@aurora.example'], ['ada@aurora.example']]);
    const [code = '', already = ''] = received.map(({ raw }) => raw);
    expect(code).toMatch(/^From: Handoff <no-reply@aurora\.example>\r$/m);
    expect(code).toContain('Your code is K7PX4M. It works for 15 minutes.');
    // Lock screens and mail logs show subjects.
    expect(code).toMatch(/^Subject: Your code\r$/m);
    expect(already).toMatch(/^Subject: You have an account already\r$/m);
    expect(already).not.toContain('K7PX4M');
  });

  it('never goes to a second mailbox that an address smuggles in', async () => {
    const mailer = mailerOf('handoff:p%40ss');
    const before = received.length;
    await mailer.sendCode('ada@aurora.example, eve@x.example', 'K7PX4M', 15).catch(() => undefined);
    await mailer.sendCode('ada@aurora.example\r\nBcc: eve@x.example', 'K7PX4M', 15).catch(() => undefined);
    await mailer.close();
    for (const { to, raw } of received.slice(before)) {
      expect(to).not.toContain('eve@x.example');
      expect(raw).not.toMatch(/^Bcc:/m);
    }
  });

  it('fails for an unknown mailbox, a wrong password and a server that is away', async () => {
    const mailer = mailerOf('handoff:p%40ss');
    await expect(mailer.sendCode('nobody@aurora.example', 'K7PX4M', 15)).rejects.toMatchObject({ responseCode: 550 });
    await mailer.close();
    const stranger = mailerOf('handoff:wrong');
    await expect(stranger.sendCode('ada@aurora.example', 'K7PX4M', 15)).rejects.toMatchObject({ code: 'EAUTH' });
    await stranger.close();
    const nowhere = createSmtpMailer({ smtpUrl: 'smtp://127.0.0.1:1', from: 'a@b.example' });
    await expect(nowhere.sendCode('ada@aurora.example', 'K7PX4M', 15)).rejects.toMatchObject({ code: 'ESOCKET' });
    await nowhere.close();
  });
});
