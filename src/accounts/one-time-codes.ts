import { createHmac, hkdfSync, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';

/** How long a code works. */
export const CODE_MINUTES = 15;
/** Wrong tries that a code survives; the next one finds it dead. */
export const CODE_TRIES = 5;
/** Between two mails to one address. */
export const MAIL_COOLDOWN_SECONDS = 60;

// Without 0, O, 1 and I, which people mistake for each other.
const ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ';
const CODE_CHARACTERS = 6;
const NONE = randomBytes(32);

/** Makes codes, and keeps them readable to nobody: what is stored is an HMAC under our key, bound to the account. */
export interface OneTimeCodes {
  /** Six letters and digits. */
  make(): string;
  /** The stored form: 32 bytes. */
  hmac(accountId: string, code: string): Buffer;
  /** Whether the code is the stored one, in equal time for a wrong and a missing one; case makes no difference. */
  fits(accountId: string | null, code: string, stored: Buffer | null): boolean;
}

/** @param key 32 bytes or more; the codes' own key is derived from it */
export function createOneTimeCodes(key: Uint8Array): OneTimeCodes {
  const codeKey = Buffer.from(hkdfSync('sha256', key, '', 'handoff one-time codes', 32));
  const hmac = (accountId: string, code: string) =>
    createHmac('sha256', codeKey).update(`${accountId}:${code.trim().toUpperCase()}`).digest();
  return {
    make: () => Array.from({ length: CODE_CHARACTERS }, () => ALPHABET[randomInt(ALPHABET.length)]).join(''),
    hmac,
    fits: (accountId, code, stored) => {
      const equal = timingSafeEqual(hmac(accountId ?? '', code), stored ?? NONE);
      return equal && accountId !== null && stored !== null;
    },
  };
}
