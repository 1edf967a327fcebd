import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';

/** A mail server that keeps what it is sent. */
export interface Mailbox {
  /** `smtp://user:password@127.0.0.1:port` */
  readonly url: string;
  /** The one-time code that an address was mailed last; waits for the first. */
  codeFor(address: string): Promise<string>;
  stop(): Promise<void>;
}

/** Starts one. It refuses addresses that begin with `nobody`, and quotes them in its refusal. */
export async function startMailbox(login: { readonly user: string; readonly password: string }): Promise<Mailbox> {
  const codes = new Map<string, string>();
  const server = new SMTPServer({
    authOptional: false,
    disabledCommands: ['STARTTLS'],
    onAuth: ({ username, password }, _session, done) =>
      username === login.user && password === login.password
        ? done(null, { user: username })
        : done(new Error(`no such login: ${username} ${password}`)),
    onRcptTo: ({ address }, _session, done) =>
      done(address.startsWith('nobody') ? new Error(`no mailbox of the name ${address}`) : null),
    onData: (stream, session, done) => {
      void text(stream).then((raw) => {
        const code = /Your code is (\w+)/.exec(raw)?.[1];
        const [to] = session.envelope.rcptTo;
        if (code !== undefined && to !== undefined) codes.set(to.address.toLowerCase(), code);
        done();
      });
    },
  });
  const listening = server.listen(0, '127.0.0.1', () => undefined);
  await once(listening, 'listening');
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `smtp://${login.user}:${login.password}@127.0.0.1:${port}`,
    codeFor: async (address) => {
      for (;;) {
        const code = codes.get(address.toLowerCase());
        if (code !== undefined) return code;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
