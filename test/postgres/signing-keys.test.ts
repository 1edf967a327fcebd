import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createSealer } from '../../src/crypto/payload-seal.ts';
import { PLATFORM_ID } from '../../src/domain/ids.ts';
import {
  beginRotation,
  finishRotation,
  loadSigningKeys,
  prepareSigningKeys,
  removeRetiredKeys,
  removeSigningKey,
  signingKeyStatus,
  type KeyWork,
} from '../../src/postgres/signing-keys.ts';
import { revokeTokensOf, tendSigningKeys } from '../../src/relay/signing-keys.ts';
import { testKey, testKeyBytes, testSealer } from '../support/app-parts.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { refusalOf, shareLab, userDocument } from '../support/share-lab.ts';

const lab = shareLab();
const OPERATOR = { kind: 'system', id: 'ops' } as const;
type Entry = readonly [kid: string, n: number];
const ring = (...entries: readonly Entry[]) =>
  parseKeyRing(entries.map(([kid, n]) => `${kid}:${testKey(n)}`).join(','));

/** Runs one step, as the server and `npm run keys` do. */
const doing = <T>(step: (work: KeyWork) => Promise<T>, sealer = testSealer): Promise<T> =>
  lab.handoff.acrossTenants('keys', (tx, sql) => step({ tx, sql, sealer, actor: OPERATOR }));
const prepare = (...given: readonly Entry[]) =>
  doing((work) => prepareSigningKeys(work, given.length === 0 ? null : ring(...given)));
const loaded = (sealer = testSealer) =>
  lab.tenants.acrossTenants('signing_keys', (sql) => loadSigningKeys(sql, sealer));
const states = async () =>
  Object.fromEntries(
    (await lab.rows<{ kid: string; state: string }>('select kid, state from signing_key order by kid')).map(
      ({ kid, state }) => [kid, state],
    ),
  );
const active = async () =>
  (await lab.rows<{ kid: string }>(`select kid from signing_key where state = 'active'`))[0]?.kid ?? '';
const eventsOf = (kid: string) =>
  lab.rows(
    `select type, reason, actor_kind, actor_id, application_id from event where key_id = $1 order by created_at, event_id`,
    [kid],
  );
/** A rotation without its wait. */
const rotate = async () => {
  const { kid } = await doing(beginRotation);
  await doing((work) => finishRotation(work, kid));
  return kid;
};

beforeEach(async () => {
  await lab.rows('delete from signing_key');
  // Key ids come again in the next test.
  await lab.rows(`update share_token set closed_at = now(), closed_as = 'revoked' where closed_at is null`);
  await lab.rows('update event set key_id = null');
});
afterEach(() => resetClock(lab.database.pool));

describe('a server that starts', () => {
  it('makes a key where there is none, also when many start at once, and later starts change nothing', async () => {
    await Promise.all(Array.from({ length: 8 }, () => prepare()));
    const made = await states();
    expect(Object.values(made)).toEqual(['active']);
    await prepare();
    expect(await states()).toEqual(made);
    const [[kid, key] = []] = await loaded();
    expect(kid).toMatch(/^\d{4}-\d\d-\d\d-[0-9a-f]{12}$/);
    expect(key).toHaveLength(32);
  });

  it('takes given keys in, the first as the one that signs, and stores none of them readably', async () => {
    expect(await prepare(['new', 21], ['old', 22])).toEqual({ differing: [], unreadable: [] });
    expect(await states()).toEqual({ new: 'active', old: 'retiring' });
    expect(await loaded()).toEqual(
      new Map([
        ['new', testKeyBytes(21)],
        ['old', testKeyBytes(22)],
      ]),
    );
    const stored = await lab.rows<{ row: string }>('select k::text as row from signing_key k');
    for (const n of [21, 22]) {
      expect(stored.some(({ row }) => row.includes(testKeyBytes(n).toString('hex')))).toBe(false);
    }
    expect(await eventsOf('new')).toMatchObject([
      {
        type: 'signing_key.created',
        reason: 'adopted',
        actor_kind: 'system',
        actor_id: 'ops',
        application_id: PLATFORM_ID,
      },
      { type: 'signing_key.rotated' },
    ]);
  });

  it('lets a key that is given later wait for a rotation, which takes it', async () => {
    await prepare(['one', 21]);
    await prepare(['two', 22], ['one', 21]);
    expect(await states()).toEqual({ one: 'active', two: 'pending' });
    expect(await rotate()).toBe('two');
    expect(await states()).toEqual({ one: 'retiring', two: 'active' });
    await prepare(['one', 21]);
    expect(await active()).toBe('two');
  });

  it('names a given key whose id is another key’s, and keeps that', async () => {
    await prepare(['one', 21]);
    expect(await prepare(['one', 22])).toEqual({ differing: ['one'], unreadable: [] });
    expect((await loaded()).get('one')).toEqual(testKeyBytes(21));
  });

  it('never takes a removed key in again, not even as the first', async () => {
    await prepare(['one', 21]);
    await doing((work) => removeSigningKey(work, 'one'));
    await prepare(['one', 21]);
    expect(await states()).toMatchObject({ one: 'removed' });
    expect([...(await loaded()).keys()]).not.toContain('one');
    await lab.rows(`delete from signing_key where state = 'active'`);
    await prepare(['one', 21]);
    expect(await states()).toMatchObject({ one: 'removed' });
    expect(await active()).not.toBe('one');
  });

  it('fills in a key of which only the name was known', async () => {
    await lab.rows(`insert into signing_key (kid, state, retired_at) values ('one', 'retiring', now())`);
    await prepare(['one', 21]);
    expect(await states()).toEqual({ one: 'active' });
    expect((await loaded()).get('one')).toEqual(testKeyBytes(21));
  });

  it('seals keys anew with the first key-encryption key, and names those that it cannot open', async () => {
    await prepare(['one', 21]);
    const content = ring(['c', 5]);
    const both = createSealer({ content, secrets: parseKeyRing(`kek-2:${testKey(31)},test-1:${testKey(6)}`) });
    const next = createSealer({ content, secrets: parseKeyRing(`kek-2:${testKey(31)}`) });
    expect((await loaded(next)).size).toBe(0);
    expect(await doing((work) => prepareSigningKeys(work, null), both)).toEqual({ differing: [], unreadable: [] });
    expect((await loaded(next)).get('one')).toEqual(testKeyBytes(21));
    expect(await doing((work) => prepareSigningKeys(work, null))).toEqual({ differing: [], unreadable: ['one'] });
  });

  it('of a process without key-encryption keys opens no key', async () => {
    await prepare(['one', 21]);
    expect(await loaded(createSealer({ content: ring(['c', 5]), secrets: null }))).toEqual(new Map());
  });

  it('does not open a key that lies in another’s row', async () => {
    await prepare(['one', 21], ['two', 22]);
    await lab.rows(
      `update signing_key set sealed = (select sealed from signing_key where kid = 'one') where kid = 'two'`,
    );
    expect([...(await loaded()).keys()]).toEqual(['one']);
  });
});

describe('a rotation', () => {
  it('has the new key verify before it signs, and the old one for a day after', async () => {
    await prepare(['one', 21]);
    const { kid, ageSeconds } = await doing(beginRotation);
    expect(ageSeconds).toBe(0);
    expect(await states()).toEqual({ one: 'active', [kid]: 'pending' });
    expect((await loaded()).has(kid)).toBe(true);
    expect(await doing((work) => finishRotation(work, kid))).toBe('one');
    expect(await states()).toEqual({ one: 'retiring', [kid]: 'active' });
    expect((await loaded()).has('one')).toBe(true);
    expect(await eventsOf(kid)).toMatchObject([
      { type: 'signing_key.created', reason: 'generated' },
      { type: 'signing_key.rotated', actor_id: 'ops' },
    ]);
    expect(await doing((work) => finishRotation(work, kid))).toBeUndefined();
  });

  it('that was cut short goes on with its key', async () => {
    await prepare(['one', 21]);
    const { kid } = await doing(beginRotation);
    await shiftClock(lab.database.pool, '7 seconds');
    const again = await doing(beginRotation);
    expect(again.kid).toBe(kid);
    expect(again.ageSeconds).toBeGreaterThanOrEqual(7);
  });

  it('run twice at once activates one key', async () => {
    await prepare(['one', 21]);
    const begun = await Promise.all([doing(beginRotation), doing(beginRotation)]);
    expect(new Set(begun.map(({ kid }) => kid)).size).toBe(1);
    const ended = await Promise.all(begun.map(({ kid }) => doing((work) => finishRotation(work, kid))));
    expect(new Set(ended)).toEqual(new Set(['one', undefined]));
    expect(Object.values(await states()).toSorted()).toEqual(['active', 'retiring']);
  });

  it('signs what is minted from its commit on', async () => {
    await prepare(['one', 21]);
    const before = await lab.mint(await lab.takeIn(userDocument()));
    const kid = await rotate();
    const after = await lab.mint(await lab.takeIn(userDocument()));
    const started = await lab.start(await lab.takeIn(userDocument()));
    expect([before.kid, after.kid]).toEqual(['one', kid]);
    expect(await lab.rows('select kid from share_token where token_id = $1', [started])).toEqual([{ kid }]);
  });
});

describe('a retired key', () => {
  const tend = () => tendSigningKeys(lab.handoff);

  it('stays while a server that starts, or an operator, changes keys, and goes after that', async () => {
    await prepare(['one', 21]);
    await rotate();
    await shiftClock(lab.database.pool, '25 hours');
    const anew = createSealer({
      content: ring(['c', 5]),
      secrets: parseKeyRing(`kek-2:${testKey(31)},test-1:${testKey(6)}`),
    });
    await doing(async (work) => {
      // It has read the keys, and seals them anew in a moment.
      await prepareSigningKeys(work, null);
      await tend();
      expect(await states()).toMatchObject({ one: 'retiring' });
    }, anew);
    await tend();
    expect(await states()).toMatchObject({ one: 'removed' });
  });

  it('is removed after a day, as soon as no token of it is open', async () => {
    await prepare(['one', 21]);
    const { tokenId } = await lab.mint(await lab.takeIn(userDocument()), { ttlSeconds: 86_400 });
    await rotate();
    await shiftClock(lab.database.pool, '23 hours 59 minutes');
    await tend();
    expect(await states()).toMatchObject({ one: 'retiring' });
    await shiftClock(lab.database.pool, '24 hours 1 minute');
    await lab.rows(`update share_token set expires_at = handoff_now() + interval '1 minute' where token_id = $1`, [
      tokenId,
    ]);
    await tend();
    expect(await states()).toMatchObject({ one: 'retiring' });
    await lab.rows(`update share_token set expires_at = handoff_now() where token_id = $1`, [tokenId]);
    await tend();
    expect(await states()).toMatchObject({ one: 'removed' });
    expect(await lab.rows(`select sealed, swept_at is not null as swept from signing_key where kid = 'one'`)).toEqual([
      { sealed: null, swept: true },
    ]);
    expect((await eventsOf('one')).at(-1)).toMatchObject({
      type: 'signing_key.removed',
      reason: 'retired',
      actor_kind: 'system',
      actor_id: null,
    });
    const removed = await lab.handoff.acrossTenants('relay', (tx, sql) =>
      removeRetiredKeys({ tx, sql, actor: OPERATOR }),
    );
    expect(removed).toEqual([]);
  });
});

describe('a removed key', () => {
  const tokenState = async (tokenId: string) =>
    (await lab.rows('select closed_as, closed_reason from share_token where token_id = $1', [tokenId]))[0];

  it('is gone with its bytes; where it signed, another does from the same moment', async () => {
    await prepare(['one', 21]);
    const outcome = await doing((work) => removeSigningKey(work, 'one'));
    expect(outcome).toEqual({ activeKid: await active() });
    expect(await states()).toMatchObject({ one: 'removed', [await active()]: 'active' });
    expect(await lab.rows(`select sealed from signing_key where kid = 'one'`)).toEqual([{ sealed: null }]);
    expect((await eventsOf('one')).at(-1)).toMatchObject({
      type: 'signing_key.removed',
      reason: 'by_hand',
      actor_id: 'ops',
      application_id: PLATFORM_ID,
    });
    expect(await doing((work) => removeSigningKey(work, 'one'))).toBe('removed');
    expect(await doing((work) => removeSigningKey(work, 'two'))).toBe('unknown');
  });

  it('that waited or retired leaves the one that signs alone; a waiting one takes the place of it', async () => {
    await prepare(['one', 21], ['old', 22]);
    await prepare(['one', 21], ['next', 23], ['other', 24]);
    expect(await doing((work) => removeSigningKey(work, 'old'))).toEqual({ activeKid: 'one' });
    expect(await doing((work) => removeSigningKey(work, 'next'))).toEqual({ activeKid: 'one' });
    expect(await doing((work) => removeSigningKey(work, 'one'))).toEqual({ activeKid: 'other' });
    expect(await states()).toEqual({ one: 'removed', old: 'removed', next: 'removed', other: 'active' });
  });

  it('has its tokens refused before they are revoked, whatever a process remembers of the key', async () => {
    await prepare(['test-2026', 21]);
    const { tokenId } = await lab.mint(await lab.takeIn(userDocument()));
    await doing((work) => removeSigningKey(work, 'test-2026'));
    expect((await refusalOf(lab.redeem(tokenId))).code).toBe('share_token_invalid');
    await revokeTokensOf('test-2026', lab.handoff);
    expect((await refusalOf(lab.redeem(tokenId))).code).toBe('share_token_invalid');
    expect(await tokenState(tokenId)).toEqual({ closed_as: 'revoked', closed_reason: 'signing_key_removed' });
  });

  it('has a token refused that another key signed than its row says', async () => {
    await prepare(['one', 21]);
    const { tokenId } = await lab.mint(await lab.takeIn(userDocument()));
    expect((await refusalOf(lab.redeem(tokenId))).code).toBe('share_token_invalid');
  });

  it('has all its open tokens revoked: plain, waiting, acknowledged even past their end, and automatic ones', async () => {
    await prepare(['one', 21]);
    const [automatic, mutual] = [await lab.newBrand(), lab.partner];
    await lab.connect(lab.issuer, automatic, { acceptance: 'automatic' });
    const session = () => lab.takeIn(userDocument());
    const plain = (await lab.mint(await session())).tokenId;
    const waiting = await lab.start(await session());
    const acknowledged = await lab.start(await session());
    await lab.acknowledge(acknowledged);
    const outlived = await lab.start(await session(), { ttlSeconds: 60 });
    await lab.acknowledge(outlived);
    const sister = await lab.start(await session(), { to: automatic });
    const ranOut = await lab.start(await session(), { ttlSeconds: 60 });
    const refused = await lab.start(await session());
    await lab.acknowledge(refused, { accept: false });
    const minting = await lab.open(await session());
    await shiftClock(lab.database.pool, '2 minutes');
    const redeemed = await lab.start(await session(), { to: mutual });
    await lab.acknowledge(redeemed);
    await lab.runImport(redeemed);
    const other = await rotate();
    const ofAnother = await lab.start(await session());

    await doing((work) => removeSigningKey(work, 'one'));
    lab.wishes.length = 0;
    expect(await revokeTokensOf('one', lab.handoff)).toBe(5);
    expect(await revokeTokensOf('one', lab.handoff)).toBe(0);

    for (const tokenId of [plain, waiting, acknowledged, outlived, sister]) {
      expect(await tokenState(tokenId)).toEqual({ closed_as: 'revoked', closed_reason: 'signing_key_removed' });
    }
    const runs = [waiting, acknowledged, outlived, sister];
    for (const tokenId of runs) {
      expect(await lab.look(tokenId)).toEqual({ state: 'revoked', reason: 'signing_key_removed' });
      expect(await lab.rows('select status, reason from onboarding where token_id = $1', [tokenId])).toEqual([
        { status: 'revoked', reason: 'signing_key_removed' },
      ]);
    }
    expect(
      lab.wishes
        .filter(({ signal }) => signal === 'tokenRevoked')
        .map(({ tokenId }) => String(tokenId))
        .toSorted(),
    ).toEqual(runs.toSorted());
    const told = await lab.rows<{ token_id: string }>(
      `select distinct token_id from event where type = 'share.revoked' and reason = 'signing_key_removed'
         and application_id = $1 and actor_kind = 'system' and actor_id is null and token_id = any ($2)`,
      [lab.issuer.id, [plain, ...runs, redeemed, ofAnother, ranOut]],
    );
    expect(told.map(({ token_id }) => token_id).toSorted()).toEqual([plain, ...runs].toSorted());
    expect(await lab.look(ranOut)).toEqual({ state: 'expired' });
    expect(await lab.look(refused)).toEqual({ state: 'refused' });
    expect(await lab.look(minting)).toEqual({ state: 'minting' });
    expect(await lab.look(redeemed)).toMatchObject({ state: 'redeemed' });
    expect(await lab.look(ofAnother)).toMatchObject({ state: 'open' });
    await lab.runMint(minting);
    expect(await lab.rows('select kid from share_token where token_id = $1', [minting])).toEqual([{ kid: other }]);
  });

  it('leaves no open token to a mint that commits after the removal: the relay finds it', async () => {
    await prepare(['one', 21]);
    const source = await lab.takeIn(userDocument());
    let removed: Promise<unknown> = Promise.resolve();
    const late = await lab.handoff.withTenant(
      lab.issuer.id,
      async (tx, sql) => {
        const order = { sessionId: source, partnerId: lab.partner.id };
        const facts = await tx.sessions.mintFacts(order.sessionId, lab.issuer.id, order.partnerId);
        removed = doing((work) => removeSigningKey(work, String(facts.activeKid)));
        await removed;
        expect(await revokeTokensOf('one', lab.handoff)).toBe(0);
        const tokenId = randomUUID();
        tx.shares.insertToken({
          tokenId,
          sessionId: source,
          sessionKind: 'user',
          issuerId: lab.issuer.id,
          partnerId: lab.partner.id,
          environment: 'sandbox',
          kid: String(facts.activeKid),
          issuedAt: facts.nowSeconds,
          expiresAt: facts.nowSeconds + 3600,
        });
        await sql.query('select 1');
        return tokenId;
      },
      'mint',
    );
    expect(await tendSigningKeys(lab.handoff)).toBe(true);
    expect(await tokenState(late)).toEqual({ closed_as: 'revoked', closed_reason: 'signing_key_removed' });
    expect(await tendSigningKeys(lab.handoff)).toBe(false);
    const swept = () => lab.rows(`select swept_at is not null as swept from signing_key where kid = 'one'`);
    expect(await swept()).toEqual([{ swept: false }]);
    await shiftClock(lab.database.pool, '11 minutes');
    await tendSigningKeys(lab.handoff);
    expect(await swept()).toEqual([{ swept: true }]);
  });
});

it('the status of keys names them with what is open', async () => {
  await prepare(['one', 21], ['old', 22]);
  await lab.mint(await lab.takeIn(userDocument()));
  await prepare(['one', 21], ['next', 23]);
  const shown = await lab.handoff.acrossTenants('keys', (_tx, sql) => signingKeyStatus(sql));
  expect(shown).toMatchObject([
    { kid: 'one', state: 'active', openTokens: 1 },
    { kid: 'next', state: 'pending', openTokens: 0 },
    { kid: 'old', state: 'retiring', openTokens: 0 },
  ]);
});
