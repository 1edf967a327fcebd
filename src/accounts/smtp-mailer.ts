import { createTransport } from 'nodemailer';
import type { Mailer } from './ports.ts';

const TIMEOUT_MS = 10_000;

/**
 * Mails by SMTP, over connections that are kept open.
 *
 * @param config.smtpUrl `smtp://` (TLS when the server offers it) or `smtps://`, with user and password
 * @param config.from a mailbox: `Name <address>`
 */
export function createSmtpMailer(config: { readonly smtpUrl: string; readonly from: string }): Mailer {
  const transport = createTransport(
    {
      url: config.smtpUrl,
      pool: true,
      connectionTimeout: TIMEOUT_MS,
      greetingTimeout: TIMEOUT_MS,
      socketTimeout: 2 * TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    },
    { from: config.from },
  );
  const send = async (to: string, subject: string, lines: readonly string[]) => {
    // As an object, so that no address is read as a list of them.
    await transport.sendMail({ to: { name: '', address: to }, subject, text: `${lines.join('\n')}\n` });
  };
  return {
    sendCode: (to, code, minutes) =>
      send(to, 'Your code', [
        'Somebody, hopefully you, registered this e-mail address.',
        '',
        `Your code is ${code}. It works for ${minutes} minutes.`,
        '',
        'If it was not you, do nothing: without the code nothing happens.',
      ]),
    sendAlreadyRegistered: (to) =>
      send(to, 'You have an account already', [
        'Somebody, hopefully you, tried to register this e-mail address, which has an account already.',
        '',
        'If it was you, log in with your password. If it was not you, do nothing: nothing was changed.',
      ]),
    close: async () => transport.close(),
  };
}
