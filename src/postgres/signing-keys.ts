import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from '../crypto/key-ring.ts';
import type { Sealer } from '../crypto/payload-seal.ts';
import type { Actor } from '../domain/events.ts';
import { PLATFORM_ID } from '../domain/ids.ts';
import type { HandoffTransaction, PayloadSealer, SealContext } from '../sharing/ports.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** What becomes of a key, in this order. */
export type SigningKeyState = 'pending' | 'active' | 'retiring' | 'removed';

/** How long a key that signs no more still verifies: the longest life of a token (contract row 13). */
const RETIRING_HOURS = 24;

const KEY_BYTES = 32;

/** What changes keys needs: the audit trail besides SQL. */
export interface KeyWork {
  readonly tx: Pick<HandoffTransaction, 'events'>;
  readonly sql: Transaction;
  readonly sealer: Sealer;
  readonly actor: Actor;
}

/** What came of {@link prepareSigningKeys}. */
export interface PreparedKeys {
  /** Given keys whose id is stored with other bytes: these stay. */
  readonly differing: readonly string[];
  /** Stored keys that no key of `KEY_ENCRYPTION_KEYS` opens. */
  readonly unreadable: readonly string[];
}

interface StoredKey {
  readonly kid: string;
  readonly state: SigningKeyState;
  readonly sealed: Buffer | null;
}

/**
 * Makes sure that there is a key to sign with. Takes in keys that a setting gives: without an active key, the first of
 * them becomes that, and the others verify for another 24 hours; later ones wait for a rotation, and removed ones stay
 * removed. With neither given nor stored ones, makes one. Seals those anew that are not sealed with the active
 * key-encryption key.
 *
 * @param given what `SHARE_TOKEN_KEYS` holds
 */
export async function prepareSigningKeys(work: KeyWork, given: KeyRing | null): Promise<PreparedKeys> {
  const { sql, sealer } = work;
  const stored = new Map((await lockKeys(sql)).map((key) => [key.kid, key]));
  const unreadable = resealKeys(sql, sealer, [...stored.values()]);
  // One whose bytes nobody has given yet signs nothing.
  const active = [...stored.values()].find(({ state, sealed }) => state === 'active' && sealed !== null);
  const differing: string[] = [];
  const usable: string[] = [];
  for (const kid of given?.kids ?? []) {
    const known = stored.get(kid);
    const key = Buffer.from(given?.get(kid) ?? []);
    if (known === undefined)
      insertKey(work, { kid, key, state: active === undefined ? 'retiring' : 'pending', reason: 'adopted' });
    else if (known.state === 'removed') continue;
    else if (known.sealed === null) fillKey(sql, sealer, kid, key);
    else if (!isSame(sealer, known, key)) {
      differing.push(kid);
      continue;
    }
    usable.push(kid);
  }
  if (active === undefined) {
    const [first] = usable;
    activate(
      work,
      first ?? insertKey(work, { kid: newKid(), key: randomBytes(KEY_BYTES), state: 'pending', reason: 'generated' }),
    );
  }
  return { differing, unreadable };
}

/** The keys that verify, by key id; what no key-encryption key opens is left out. */
export async function loadSigningKeys(sql: Transaction, sealer: PayloadSealer): Promise<Map<string, Uint8Array>> {
  const rows = await sql.query<{ kid: string; sealed: Buffer }>(
    `select kid, sealed from signing_key where state <> 'removed' and sealed is not null`,
  );
  const keys = new Map<string, Uint8Array>();
  for (const { kid, sealed } of rows) {
    const key = tryOpen(sealer, kid, sealed);
    if (key !== null) keys.set(kid, key);
  }
  return keys;
}

/**
 * The first half of a rotation: a key that every process can learn of before it signs. One that waits already, given or
 * of a rotation that was cut short, is taken.
 *
 * @returns its id and for how many seconds it has been there
 */
export async function beginRotation(work: KeyWork): Promise<{ readonly kid: string; readonly ageSeconds: number }> {
  await lockKeys(work.sql);
  const [waiting] = await work.sql.query<{ kid: string; ageSeconds: number }>(OLDEST_PENDING);
  if (waiting !== undefined) return waiting;
  const kid = insertKey(work, { kid: newKid(), key: randomBytes(KEY_BYTES), state: 'pending', reason: 'generated' });
  return { kid, ageSeconds: 0 };
}

/**
 * The second half: the pending key signs, and the one that did retires.
 *
 * @returns the retiring key's id, null when there was no active one; undefined when the key is not pending any more
 */
export async function finishRotation(work: KeyWork, kid: string): Promise<string | null | undefined> {
  const stored = await lockKeys(work.sql);
  if (stored.find((key) => key.kid === kid)?.state !== 'pending') return undefined;
  const before = stored.find(({ state }) => state === 'active')?.kid ?? null;
  activate(work, kid);
  return before;
}

/**
 * Removes a key at once: its tokens verify no more, from this transaction's commit on, and its bytes are deleted. When
 * it is the one that signs, another takes its place first. Its open tokens are left to the sweep.
 *
 * @returns the key that signs from now on; `unknown` when there is no such key, `removed` when it was removed before
 */
export async function removeSigningKey(
  work: KeyWork,
  kid: string,
): Promise<{ readonly activeKid: string | null } | 'unknown' | 'removed'> {
  const { sql } = work;
  const stored = await lockKeys(sql);
  const key = stored.find((one) => one.kid === kid);
  if (key === undefined) return 'unknown';
  if (key.state === 'removed') return 'removed';
  const active = stored.find(({ state }) => state === 'active')?.kid ?? null;
  const next = active === kid ? await replacementOf(work, kid) : active;
  if (active === kid && next !== null) activate(work, next);
  sql.send(`update signing_key set state = 'removed', sealed = null, removed_at = handoff_now() where kid = $1`, [kid]);
  recordKey(work, 'signing_key.removed', {
    keyId: kid,
    reason: 'by_hand',
    before: { state: key.state },
    after: { state: 'removed' },
  });
  return { activeKid: next };
}

/** Removes the keys that retired a day ago, as soon as no token of theirs is open; none while somebody changes keys. */
export async function removeRetiredKeys({ tx, sql, actor }: Omit<KeyWork, 'sealer'>): Promise<readonly string[]> {
  const removed = await sql.query<{ kid: string }>(
    `with alone as materialized (select pg_try_advisory_xact_lock(${KEYS_LOCK}) as got)
     update signing_key k set state = 'removed', sealed = null, removed_at = handoff_now(), swept_at = handoff_now()
     from alone where alone.got and k.state = 'retiring' and k.retired_at < handoff_now() - interval '${RETIRING_HOURS} hours'
       and not exists (select 1 from share_token t
                       where t.kid = k.kid and t.closed_at is null and t.expires_at > handoff_now())
     returning k.kid`,
  );
  for (const { kid } of removed) {
    recordKey({ tx, actor }, 'signing_key.removed', {
      keyId: kid,
      reason: 'retired',
      before: { state: 'retiring' },
      after: { state: 'removed' },
    });
  }
  return removed.map(({ kid }) => kid);
}

/**
 * Open tokens whose key was removed: those that have not run out, and those whose acknowledgement outlives them.
 *
 * @param kid of one key alone
 */
export async function tokensOfRemovedKeys(sql: Transaction, limit: number, kid?: string): Promise<string[]> {
  const rows = await sql.query<{ token_id: string }>(
    `select t.token_id from signing_key k join share_token t on t.kid = k.kid
     where k.state = 'removed' and k.swept_at is null and ($2::text is null or k.kid = $2) and t.closed_at is null
       and (t.expires_at > handoff_now()
         or exists (select 1 from acknowledgement a where a.token_id = t.token_id and a.state = 'unspent'))
       and not exists (select 1 from redemption r where r.token_id = t.token_id)
     order by t.token_id limit $1`,
    [limit, kid ?? null],
  );
  return rows.map(({ token_id }) => token_id);
}

/**
 * Ends the looking for open tokens of removed keys, to be called after none was found. Not before ten minutes have gone:
 * a mint that was under way at the removal may commit late.
 */
export function endSweeps(sql: Transaction): void {
  sql.send(
    `update signing_key set swept_at = handoff_now()
     where state = 'removed' and swept_at is null and removed_at < handoff_now() - interval '10 minutes'`,
  );
}

/** A key as operators see it. Times are ISO 8601. */
export interface SigningKeyStatus {
  readonly kid: string;
  readonly state: SigningKeyState;
  readonly createdAt: string;
  /** When it came into its state. */
  readonly since: string;
  /** Tokens of it that can still be used. */
  readonly openTokens: number;
}

/** Every key there ever was, the one that signs first. */
export function signingKeyStatus(sql: Transaction): Promise<SigningKeyStatus[]> {
  return sql.query<SigningKeyStatus & Record<string, unknown>>(
    `select k.kid, k.state, ${isoColumn('k.created_at')} as "createdAt",
       ${isoColumn('coalesce(k.removed_at, k.retired_at, k.activated_at, k.created_at)')} as since,
       (select count(*)::int from share_token t
        where t.kid = k.kid and t.closed_at is null and t.expires_at > handoff_now()
          and not exists (select 1 from redemption r where r.token_id = t.token_id)) as "openTokens"
     from signing_key k
     order by array_position(array['active', 'pending', 'retiring', 'removed'], k.state), k.created_at desc, k.kid`,
  );
}

const OLDEST_PENDING = `select kid, extract(epoch from handoff_now() - created_at)::float8 as "ageSeconds"
  from signing_key where state = 'pending' and sealed is not null order by created_at, kid limit 1`;

const KEYS_LOCK = `hashtextextended('signing keys', 6)`;

/** Whoever changes keys does it alone; reading and minting wait for nobody. */
async function lockKeys(sql: Transaction): Promise<StoredKey[]> {
  sql.send(`select pg_advisory_xact_lock(${KEYS_LOCK})`);
  return sql.query<StoredKey & Record<string, unknown>>('select kid, state, sealed from signing_key order by kid');
}

async function replacementOf(work: KeyWork, removed: string): Promise<string> {
  const [waiting] = await work.sql.query<{ kid: string }>(OLDEST_PENDING);
  if (waiting !== undefined && waiting.kid !== removed) return waiting.kid;
  return insertKey(work, { kid: newKid(), key: randomBytes(KEY_BYTES), state: 'pending', reason: 'generated' });
}

function insertKey(
  work: KeyWork,
  {
    kid,
    key,
    state,
    reason,
  }: { kid: string; key: Buffer; state: 'pending' | 'retiring'; reason: 'adopted' | 'generated' },
): string {
  work.sql.send(
    `insert into signing_key (kid, state, sealed, retired_at)
     values ($1, $2, $3, case when $2 = 'retiring' then handoff_now() end)`,
    [kid, state, work.sealer.sealBytes(signingKeyContext(kid), key)],
  );
  recordKey(work, 'signing_key.created', { keyId: kid, reason, after: { state } });
  return kid;
}

function fillKey(sql: Transaction, sealer: PayloadSealer, kid: string, key: Buffer): void {
  sql.send(`update signing_key set sealed = $2 where kid = $1 and state <> 'removed'`, [
    kid,
    sealer.sealBytes(signingKeyContext(kid), key),
  ]);
}

/** Lets a key sign, and the one that does retire. */
function activate(work: KeyWork, kid: string): void {
  work.sql.send(
    `update signing_key set state = 'retiring', retired_at = handoff_now() where state = 'active' and kid <> $1`,
    [kid],
  );
  work.sql.send(
    `update signing_key set state = 'active', activated_at = handoff_now(), retired_at = null
     where kid = $1 and state <> 'removed'`,
    [kid],
  );
  recordKey(work, 'signing_key.rotated', { keyId: kid, after: { state: 'active' } });
}

/** Seals what is not sealed with the active key-encryption key. @returns what can't be opened */
function resealKeys(sql: Transaction, sealer: Sealer, stored: readonly StoredKey[]): string[] {
  const current = sealer.currentHeader('secret');
  const unreadable: string[] = [];
  for (const { kid, sealed } of stored) {
    if (sealed === null || sealed.subarray(0, current.length).equals(current)) continue;
    const key = tryOpen(sealer, kid, sealed);
    if (key === null) unreadable.push(kid);
    else fillKey(sql, sealer, kid, key);
  }
  return unreadable;
}

function isSame(sealer: PayloadSealer, { kid, sealed }: StoredKey, given: Buffer): boolean {
  const key = sealed === null ? null : tryOpen(sealer, kid, sealed);
  return key !== null && key.length === given.length && timingSafeEqual(key, given);
}

function tryOpen(sealer: PayloadSealer, kid: string, sealed: Buffer): Buffer | null {
  try {
    return sealer.openBytes(signingKeyContext(kid), sealed);
  } catch {
    return null;
  }
}

/** What a signing key is bound to. */
export function signingKeyContext(kid: string): SealContext {
  return { applicationId: PLATFORM_ID, sessionId: kid, category: 'signing_key', position: 0 };
}

/** The day it was made, and what nobody can guess: an id that was looked for before it was there counts as unknown for a while. */
function newKid(): string {
  return `${new Date().toISOString().slice(0, 10)}-${randomBytes(6).toString('hex')}`;
}

type KeyEvent = Parameters<HandoffTransaction['events']['record']>[0][number];

function recordKey(
  { tx, actor }: Pick<KeyWork, 'tx' | 'actor'>,
  type: 'signing_key.created' | 'signing_key.rotated' | 'signing_key.removed',
  about: Pick<KeyEvent, 'reason' | 'before' | 'after'> & { readonly keyId: string },
): void {
  tx.events.record([{ type, applicationId: PLATFORM_ID, ...about }], actor);
}
