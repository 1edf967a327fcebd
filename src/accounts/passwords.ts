import { createHmac, hkdfSync, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../domain/failures.ts';

/** What one hash costs: memory is 128·N·r bytes. */
export interface PasswordCost {
  /** A power of two. */
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** One of OWASP's settings of equal strength, chosen for its memory: 32 MiB. */
export const PASSWORD_COST: PasswordCost = { N: 2 ** 15, r: 8, p: 3 };

/** Hashes passwords and checks them. All refuse with `service_unavailable` while too many wait for their turn. */
export interface Passwords {
  /** Refuses now what would be refused later, before anything is counted or written for it. */
  refuseWhenBusy(): void;
  /**
   * `$scrypt$ln=15,r=8,p=3$<salt>$<hash>`: the parameters are kept, so that they can change.
   *
   * @param salt 16 bytes; random ones by default
   */
  hash(password: string, salt?: Buffer): Promise<string>;
  /** Whether the password fits; an account that is not there (null) costs the same work. */
  check(password: string, stored: string | null): Promise<boolean>;
}

const SALT_BYTES = 16;
const HASH_BYTES = 32;
// Of the four threads of Node's pool, so that files and name look-ups never wait for passwords.
const AT_ONCE = 2;
// Some seconds of work: who waits longer has gone.
const MAX_WAITING = 50;
const STORED = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([\w+/]+)\$([\w+/]+)$/;

/** Passwords at a cost; few are hashed at once, and of the others some wait for their turn. */
export function createPasswords(cost: PasswordCost = PASSWORD_COST): Passwords {
  let running = 0;
  const waiting: (() => void)[] = [];

  function refuseWhenBusy(): void {
    if (waiting.length >= MAX_WAITING) throw new Refusal('service_unavailable');
  }

  async function derive(password: string, salt: Buffer, by: PasswordCost): Promise<Buffer> {
    refuseWhenBusy();
    if (running >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
    else running += 1;
    try {
      return await scryptOf(password, salt, by);
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  }

  return {
    refuseWhenBusy,
    hash: async (password, salt = randomBytes(SALT_BYTES)) => {
      const hash = await derive(password, salt, cost);
      return `$scrypt$ln=${Math.log2(cost.N)},r=${cost.r},p=${cost.p}$${unpadded(salt)}$${unpadded(hash)}`;
    },
    check: async (password, stored) => {
      if (stored === null) {
        await derive(password, randomBytes(SALT_BYTES), cost);
        return false;
      }
      const [, ln, r, p, salt = '', expected = ''] = STORED.exec(stored) ?? [];
      if (ln === undefined) throw new Error('a stored password hash is not readable');
      const by = { N: 2 ** Number(ln), r: Number(r), p: Number(p) };
      const hash = await derive(password, Buffer.from(salt, 'base64'), by);
      const right = Buffer.from(expected, 'base64');
      return right.length === hash.length && timingSafeEqual(hash, right);
    },
  };
}

/**
 * Returns the salt that an address is registered with: one of its own that nobody else can foretell. So two registrations
 * have the same hash if they have the same password, and each takes the work of one hash, whatever is stored.
 *
 * @param key 32 bytes or more; the salts' own key is derived from it
 */
export function createSalts(key: Uint8Array): (email: string) => Buffer {
  const saltKey = Buffer.from(hkdfSync('sha256', key, '', 'handoff salts of registrations', 32));
  return (email) => createHmac('sha256', saltKey).update(email.toLowerCase()).digest().subarray(0, SALT_BYTES);
}

/** The first rule that a new password breaks, as Didit reports them: one at a time. Null for a good one. */
export function passwordProblem(password: string): string | null {
  if (password.length < 8) return 'Ensure this field has at least 8 characters.';
  if (!/\p{Lu}/u.test(password)) return 'The password must contain at least one uppercase letter.';
  if (!/\p{Ll}/u.test(password)) return 'The password must contain at least one lowercase letter.';
  if (!/\p{Nd}/u.test(password)) return 'The password must contain at least one digit.';
  if (!/[^\p{L}\p{N}\s]/u.test(password)) return 'The password must contain at least one special character.';
  return null;
}

function scryptOf(password: string, salt: Buffer, { N, r, p }: PasswordCost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // The same letters are the same bytes, whatever keyboard they came from.
    const text = password.normalize('NFKC');
    scrypt(text, salt, HASH_BYTES, { N, r, p, maxmem: 256 * N * r }, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    );
  });
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
