import type { Mailer } from './ports.ts';

/** A mailer that sends nothing: development reads its codes from the log, or here. */
export interface DevelopmentMailer extends Mailer {
  /** The last code for an address, null when this process made none. */
  lastCode(address: string): string | null;
}

const MAX_REMEMBERED = 1_000;

/** @param say is told each code, without its address */
export function createDevelopmentMailer(say: (code: string) => void): DevelopmentMailer {
  const codes = new Map<string, string>();
  return {
    sendCode: async (to, code) => {
      if (codes.size >= MAX_REMEMBERED) codes.clear();
      codes.set(to.toLowerCase(), code);
      say(code);
    },
    sendAlreadyRegistered: async () => {},
    close: async () => {},
    lastCode: (address) => codes.get(address.toLowerCase()) ?? null,
  };
}
