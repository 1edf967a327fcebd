import { CODE_MINUTES } from './one-time-codes.ts';
import type { Mailer } from './ports.ts';
import type { Mail } from './register.ts';

/** Sends mails beside the requests that want them. */
export interface PostOffice {
  /** Hands a mail over and returns at once; what fails is reported, and whoever waits for it asks for another. */
  send(mail: Mail): void;
  /** Resolves when every mail is sent or has failed. */
  idle(): Promise<void>;
}

/** @param onError is told of a mail that could not be sent; the error may quote the address */
export function createPostOffice(mailer: Mailer, onError: (error: unknown) => void): PostOffice {
  const sending = new Set<Promise<void>>();
  return {
    send: (mail) => {
      const going =
        mail.kind === 'code'
          ? mailer.sendCode(mail.to, mail.code, CODE_MINUTES)
          : mailer.sendAlreadyRegistered(mail.to);
      const sent: Promise<void> = going.catch(onError).finally(() => sending.delete(sent));
      sending.add(sent);
    },
    idle: async () => {
      await Promise.all(sending);
    },
  };
}
