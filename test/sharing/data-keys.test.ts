import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { applicationStore } from '../../src/postgres/application-deletion.ts';
import { forgetExpiredKeys, readDataKey } from '../../src/postgres/data-keys.ts';
import { newId } from '../../src/postgres/new-id.ts';
import { sessionStore } from '../../src/postgres/sessions.ts';
import { shareStore } from '../../src/postgres/shares.ts';
import { deleteApplication } from '../../src/sharing/delete-application.ts';
import { mintShareToken } from '../../src/sharing/mint.ts';
import type { CloneOrder, SealContext } from '../../src/sharing/ports.ts';
import { redeemShareToken } from '../../src/sharing/redeem.ts';
import { importWithKeys, KeyNotWrapped, wrapMissingKeys } from '../../src/sharing/share-keys.ts';
import { homeContext } from '../../src/sharing/store-content.ts';
import { replyTo } from '../../src/http/errors.ts';
import { testSealer } from '../support/app-parts.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { roundTripsOf } from '../support/round-trips.ts';
import {
  businessDocument,
  KID,
  refusalOf,
  sampleDocument,
  shareLab,
  STYLE,
  userDocument,
  type LabBrand,
} from '../support/share-lab.ts';

const lab = shareLab();
afterEach(() => resetClock(lab.database.pool));

interface StoredPart {
  readonly at: 'check' | 'home';
  readonly category: string;
  readonly position: number;
  readonly payload: Buffer;
}

/** What is stored of a session's content, as it lies in the database. */
const partsOf = (sessionId: string) =>
  lab.rows<StoredPart & Record<string, unknown>>(
    `select 'check' as at, category, position, payload from session_check where session_id = $1
     union all select 'home', category, position, payload from session_home where session_id = $1 order by 1, 2, 3`,
    [sessionId],
  );
const keyOf = async (sessionId: string) =>
  (
    await lab.rows<{ key_id: string; wrapped: Buffer }>(
      'select key_id, wrapped from session_key where session_id = $1',
      [sessionId],
    )
  )[0];
/** The sessions whose keys a token holds. */
const heldBy = async (tokenId: string) =>
  (
    await lab.rows<{ id: string }>('select session_id as id from token_key where token_id = $1 order by 1', [tokenId])
  ).map(({ id }) => id);
const contextOf = (part: StoredPart, applicationId: string, sessionId: string): SealContext =>
  part.at === 'home'
    ? homeContext({ applicationId, sessionId }, part.category, part.position)
    : { applicationId, sessionId, category: part.category, position: part.position };
const decisionOf = (owner: LabBrand, sessionId: string) => lab.decision(owner, sessionId);

describe('a session’s data key', () => {
  it('is one of its own, named after it, and what all of its content is sealed with', async () => {
    const sessions = [await lab.takeIn(sampleDocument('kyb-approved')), await lab.takeIn(userDocument())];
    const keys = await Promise.all(sessions.map(keyOf));
    expect(keys.map((key) => key?.key_id)).toEqual(sessions);
    expect(keys[0]?.wrapped.equals(keys[1]?.wrapped ?? Buffer.alloc(0))).toBe(false);
    const parts = await partsOf(sessions[0] ?? '');
    expect(new Set(parts.map(({ at }) => at))).toEqual(new Set(['check', 'home']));
    const start = Buffer.from(`02${sessions[0]?.replaceAll('-', '')}`, 'hex');
    for (const { payload } of parts) expect(payload.subarray(0, start.length)).toEqual(start);
  });

  it('opens its session’s content in no other row', async () => {
    const [owner, stranger] = [await lab.newBrand(), await lab.newBrand()];
    const two = { ...userDocument(), id_verifications: [{ first_name: 'One' }, { first_name: 'Two' }] };
    const [source, sibling] = [await lab.takeIn(two, owner), await lab.takeIn(two, owner)];
    const foreign = await lab.takeIn(two, stranger);
    await expect(decisionOf(owner, source)).resolves.not.toBeNull();
    const here = `session_id = '${source}'`;
    const spoilt = [
      // To another position, category, session, or out of what stays home.
      `update session_check set position = 1 - position where ${here}`,
      `update session_check set category = 'nfc_verifications' where ${here} and position = 0`,
      `update session_check t set payload = o.payload from session_check o
       where t.${here} and o.session_id = '${sibling}' and (o.category, o.position) = (t.category, t.position)`,
      `update session_check t set payload = h.payload from session_home h
       where t.${here} and h.session_id = t.session_id and h.category = '' and t.position = 0`,
      // Its key: another's of the same application, another application's, altered, gone.
      `update session_key t set wrapped = o.wrapped from session_key o where t.${here} and o.session_id = '${sibling}'`,
      `update session_key t set wrapped = o.wrapped, key_id = o.key_id
       from session_key o where t.${here} and o.session_id = '${foreign}'`,
      `update session_key set wrapped = set_byte(wrapped, octet_length(wrapped) - 1, get_byte(wrapped, octet_length(wrapped) - 1) # 1)
       where ${here}`,
      `delete from session_key where ${here}`,
    ];
    const client = await lab.database.pool.connect();
    try {
      const before = await lab.rows(
        'select * from session_check c join session_key using (session_id) where session_id = $1',
        [source],
      );
      for (const statement of spoilt) {
        await client.query('alter table session_check drop constraint session_check_pkey');
        const saved = await savedRows(client, source);
        await client.query(statement);
        await expect(decisionOf(owner, source), statement).rejects.toMatchObject({ name: 'PayloadUnreadable' });
        await restoreRows(client, source, saved);
        await client.query('alter table session_check add primary key (session_id, category, position)');
      }
      expect(
        await lab.rows('select * from session_check c join session_key using (session_id) where session_id = $1', [
          source,
        ]),
      ).toEqual(before);
    } finally {
      client.release();
    }
  });
});

async function savedRows(client: PoolClient, sessionId: string) {
  const of = async (table: string) =>
    (
      await client.query<{ row: string }>(`select row_to_json(t)::text as row from ${table} t where session_id = $1`, [
        sessionId,
      ])
    ).rows;
  return { session_check: await of('session_check'), session_key: await of('session_key') };
}

async function restoreRows(client: PoolClient, sessionId: string, saved: Awaited<ReturnType<typeof savedRows>>) {
  for (const [table, rows] of Object.entries(saved)) {
    await client.query(`delete from ${table} where session_id = $1`, [sessionId]);
    await client.query(
      `insert into ${table} select r.* from unnest($1::text[]) row, json_populate_record(null::${table}, row::json) r`,
      [rows.map(({ row }) => row)],
    );
  }
}

describe('a mint', () => {
  it('is refused for a session without a data key, which nobody could ever import; so is a run’s', async () => {
    const from = await lab.newBrand();
    const source = await lab.takeIn(userDocument(), from);
    const opened = await lab.open(source, { from });
    await lab.rows('delete from session_key where session_id = $1', [source]);
    const error: unknown = await lab.mint(source, { from }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'DataKeyMissing', code: 'data_key_missing' });
    expect((error as Error).message).toContain(source);
    expect(replyTo(error)).toMatchObject({ status: 503, body: { code: 'service_unavailable' }, fault: true });
    await expect(lab.runMint(opened)).rejects.toMatchObject({ code: 'data_key_missing' });
    expect(await lab.rows('select 1 from share_token where session_id = $1', [source])).toEqual([]);
    const read = lab.tenants.withTenant(from.id, (tx) => readDataKey(tx, from.id, source));
    await expect(read).rejects.toMatchObject({ code: 'data_key_missing' });
    expect(await lab.tenants.withTenant(from.id, (tx) => readDataKey(tx, from.id, randomUUID()))).toBeNull();
  });

  it('leaves the keys of what it shares with the token, for the partner, in two round trips', async () => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    const finished = await lab.takeIn(userDocument(), from);
    const unfinished = await lab.takeIn(userDocument({ status: 'In Progress' }), from);
    const source = await lab.takeIn(businessDocument([finished, unfinished, finished, null]), from);
    let tokenId = '';
    const mint = async () => ({ tokenId } = await lab.mint(source, { from, to }));
    expect(await roundTripsOf(lab.tenants, mint)).toBe(2);
    expect(await heldBy(tokenId)).toEqual([source, finished].sort());
    const rows = await lab.rows<{ key_id: string; session_id: string; wrapped: Buffer }>(
      'select key_id, session_id, wrapped from token_key where token_id = $1',
      [tokenId],
    );
    for (const { key_id: keyId, session_id, wrapped } of rows) {
      expect(keyId).toBe(session_id);
      // Only for the partner, and from there on to somebody else.
      expect(() => testSealer.wrapFor({ keyId, wrapped }, from.id, lab.third.id)).toThrow(/wrapped for another/);
      expect(testSealer.wrapFor({ keyId, wrapped }, to.id, lab.third.id).keyId).toBe(keyId);
    }
  });

  it('of a run leaves them too; opening an onboarding does not', async () => {
    const source = await lab.takeIn(userDocument());
    const tokenId = await lab.open(source);
    expect(await heldBy(tokenId)).toEqual([]);
    await lab.runMint(tokenId);
    await lab.runMint(tokenId);
    expect(await heldBy(tokenId)).toEqual([source]);
  });

  it('wraps nothing of a session that is deleted at that moment', async () => {
    const source = await lab.takeIn(userDocument());
    const other = await lab.database.pool.connect();
    try {
      await other.query('begin');
      await other.query('delete from session where session_id = $1', [source]);
      const minting = lab.mint(source);
      await somebodyWaits();
      await other.query('commit');
      expect(await heldBy((await minting).tokenId)).toEqual([]);
    } finally {
      other.release();
    }
  });

  it('that a deletion meets has the deletion wait, and then take its keys away', async () => {
    const source = await lab.takeIn(userDocument());
    const order = { issuerId: lab.issuer.id, sessionId: source, partnerId: lab.partner.id, ttlSeconds: 60 };
    let removing: Promise<unknown> = Promise.resolve();
    const { tokenId } = await lab.handoff.withTenant(
      lab.issuer.id,
      async (tx, sql) => {
        const token = await mintShareToken(tx, order, { kind: 'system', id: null });
        await sql.query('select 1');
        removing = lab.remove(lab.issuer, source);
        await somebodyWaits();
        return token;
      },
      'mint',
    );
    await removing;
    expect(await heldBy(tokenId)).toEqual([]);
    expect(await partsOf(source)).toEqual([]);
  });
});

/** Waits until some transaction of the verbs waits for a lock. */
async function somebodyWaits(): Promise<void> {
  for (;;) {
    const waiting = await lab.rows(
      `select 1 from pg_stat_activity
       where datname = current_database() and application_name = 'handoff' and wait_event_type = 'Lock'`,
    );
    if (waiting.length > 0) return;
  }
}

describe('a redemption', () => {
  it('copies the sealed bytes as they are, and moves the token’s keys to the clones, over every hop', async () => {
    const [from, to, next] = [await lab.newBrand(), await lab.newBrand(), await lab.newBrand()];
    const person = await lab.takeIn(userDocument(), from);
    const source = await lab.takeIn(businessDocument([person]), from);
    const checks = async (sessionId: string) => (await partsOf(sessionId)).filter(({ at }) => at === 'check');
    let [at, own] = [from, source];
    for (const by of [to, next]) {
      const { tokenId } = await lab.mint(own, { from: at, to: by });
      const { sessionId, decision } = await lab.redeem(tokenId, { trustReview: true }, by);
      expect(await checks(sessionId)).toEqual(await checks(source));
      expect((await keyOf(sessionId))?.key_id).toBe(source);
      expect(await heldBy(tokenId)).toEqual([]);
      expect(JSON.stringify(await decisionOf(by, sessionId))).toBe(JSON.stringify(decision));
      const [clone] = await lab.rows<{ id: string }>('select session_id as id from session where parent_import = $1', [
        sessionId,
      ]);
      expect((await keyOf(clone?.id ?? ''))?.key_id).toBe(person);
      expect(await decisionOf(by, clone?.id ?? '')).toMatchObject({ id_verifications: [{ first_name: 'Ada' }] });
      [at, own] = [by, sessionId];
    }
  });

  it('needs no key of ours: it is SQL alone', async () => {
    const source = await lab.takeIn(userDocument());
    const token = await lab.mint(source);
    const sessionId = newId();
    // No sealer is anywhere near these stores.
    const complete = await lab.tenants.withTenant(
      lab.partner.id,
      async (sql) => {
        const [store, shares] = [sessionStore(sql), shareStore(sql)];
        await shares.lock(token.tokenId);
        const share = {
          ...token,
          environment: 'sandbox',
          expired: false,
          remainingMs: 1,
          keyRemoved: false,
          closedAs: null,
        } as const;
        const facts = await store.importFacts({ ...share, closedReason: null }, undefined);
        if (facts.source === null) throw new Error('the source is there');
        const clone = { ...facts.source, sessionId, applicationId: lab.partner.id, number: 100_000, externalId: null };
        const order: CloneOrder = {
          tokenId: token.tokenId,
          partnerId: lab.partner.id,
          sources: [{ from: facts.source, to: clone }],
        };
        const { tokenId, issuerId, partnerId } = token;
        const redemption = { tokenId, issuerId, partnerId, sourceSessionId: source, sessionId };
        await shares.insertRedemption({ ...redemption, acknowledgementId: null, trustReview: true });
        const copied = await store.cloneChecks(order);
        store.insertClones(order);
        return copied.complete;
      },
      'redeem',
    );
    expect(complete).toBe(true);
    expect(await decisionOf(lab.partner, sessionId)).toMatchObject({ id_verifications: [{ first_name: 'Ada' }] });
  });

  it('that meets a key which the token lacks writes nothing, and works once it was wrapped', async () => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    const source = await lab.takeIn(businessDocument(['hr-9']), from);
    const { tokenId } = await lab.mint(source, { from, to });
    const late = await lab.takeIn(userDocument({ external_id: 'hr-9' }), from);
    const before = await lab.counts();
    const actor = { kind: 'system', id: null } as const;
    const bare = lab.handoff.withTenant(
      to.id,
      (tx) => redeemShareToken(tx, { tokenId, kid: KID, partnerId: to.id, choice: {} }, actor, STYLE),
      'redeem',
    );
    await expect(bare).rejects.toMatchObject({ name: 'KeyNotWrapped', code: 'key_not_wrapped', tokenId });
    expect(await lab.counts()).toEqual(before);

    const { sessionId } = await lab.redeem(tokenId, {}, to);
    const [clone] = await lab.rows<{ id: string; of: string }>(
      'select session_id as id, shared_from_session as of from session where parent_import = $1',
      [sessionId],
    );
    expect(clone?.of).toBe(late);
    expect(await decisionOf(to, clone?.id ?? '')).toMatchObject({ id_verifications: [{ first_name: 'Ada' }] });
    expect(await heldBy(tokenId)).toEqual([]);
  });

  it('of a run does too, also of an acknowledged token past its expiry', async () => {
    const source = await lab.takeIn(businessDocument(['hr-10']));
    const tokenId = await lab.start(source, { ttlSeconds: 60 });
    await lab.acknowledge(tokenId);
    await lab.takeIn(userDocument({ external_id: 'hr-10' }));
    await shiftClock(lab.database.pool, '2 hours');
    expect(await lab.runImport(tokenId)).toMatchObject({ state: 'redeemed' });
  });

  it('is tried three times, and can then be tried again', async () => {
    let [runs, wraps] = [0, 0];
    const outcome = importWithKeys(
      () => {
        runs += 1;
        return Promise.reject(new KeyNotWrapped(randomUUID()));
      },
      async () => void (wraps += 1),
    );
    const error: unknown = await outcome.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(KeyNotWrapped);
    expect([runs, wraps]).toEqual([3, 2]);
    expect(replyTo(error)).toMatchObject({ status: 503, body: { code: 'service_unavailable' } });
  });
});

describe('the keys of a token', () => {
  const order = () => lab.takeIn(userDocument()).then((source) => lab.start(source, { ttlSeconds: 60 }));

  it.each<[string, (tokenId: string) => Promise<unknown>]>([
    ['revoked', (tokenId) => lab.revoke(tokenId)],
    ['refused', (tokenId) => lab.acknowledge(tokenId, { accept: false })],
    ['rejected', (tokenId) => lab.close(tokenId, { as: 'rejected', reason: 'source_not_shareable' })],
    ['undeliverable', (tokenId) => lab.close(tokenId, { as: 'undeliverable', reason: 'gone' })],
    [
      'expired',
      async (tokenId) => {
        await shiftClock(lab.database.pool, '2 hours');
        return lab.close(tokenId, { as: 'expired' });
      },
    ],
  ])('go when it ends as %s, and none comes back', async (_how, end) => {
    const tokenId = await order();
    expect(await heldBy(tokenId)).toHaveLength(1);
    await end(tokenId);
    expect(await heldBy(tokenId)).toEqual([]);
    await lab.handoff.acrossTenants('onboarding', (tx) => wrapMissingKeys(tx, tokenId));
    expect(await heldBy(tokenId)).toEqual([]);
  });

  it('go when the application of either side is deleted', async () => {
    for (const side of ['from', 'to'] as const) {
      const sides = { from: await lab.newBrand(), to: await lab.newBrand() };
      const { tokenId } = await lab.mint(await lab.takeIn(userDocument(), sides.from), sides);
      const ids = { applicationId: sides[side].id, organizationId: randomUUID() };
      await lab.rows('insert into organization (organization_id, name) values ($1, $2)', [
        ids.organizationId,
        'Aurora',
      ]);
      await lab.rows('update application set organization_id = $2 where application_id = $1', Object.values(ids));
      await lab.handoff.withTenant(
        ids.applicationId,
        (tx, sql) => deleteApplication(tx, applicationStore(sql), ids, { kind: 'account', id: ids.organizationId }),
        'delete_application',
      );
      expect(await heldBy(tokenId)).toEqual([]);
    }
  });

  it('go from every token when their session is deleted, also a person’s', async () => {
    const person = await lab.takeIn(userDocument());
    const source = await lab.takeIn(businessDocument([person]));
    const tokens = [await lab.mint(source), await lab.mint(source, { to: lab.third }), await lab.mint(person)];
    await lab.remove(lab.issuer, person);
    expect(await Promise.all(tokens.map(({ tokenId }) => heldBy(tokenId)))).toEqual([[source], [source], []]);
    // Without the person, the rest can still be imported.
    await expect(lab.redeem(tokens[0]?.tokenId ?? '')).resolves.toMatchObject({});
  });

  it('go once it ran out, unless an acknowledgement still waits for its import', async () => {
    const tidy = () => lab.tenants.acrossTenants('relay', async (sql) => forgetExpiredKeys(sql));
    const source = await lab.takeIn(userDocument());
    const [plain, acknowledged, living] = [
      await lab.mint(source, { ttlSeconds: 60 }),
      await lab.start(source, { ttlSeconds: 60 }),
      await lab.mint(source, { ttlSeconds: 86_400 }),
    ];
    await lab.acknowledge(acknowledged);
    await shiftClock(lab.database.pool, '1 hour');
    await tidy();
    expect(await heldBy(plain.tokenId)).toEqual([]);
    expect(await heldBy(acknowledged)).toEqual([source]);
    expect(await heldBy(living.tokenId)).toEqual([source]);
    expect(await lab.runImport(acknowledged)).toMatchObject({ state: 'redeemed' });
    expect((await refusalOf(lab.redeem(plain.tokenId))).code).toBe('share_token_expired');
  });
});

describe('an erased session', () => {
  it('cannot be opened from a copy, by anything that is left in the database', async () => {
    const [owner, to] = [await lab.newBrand(), await lab.newBrand()];
    const source = await lab.takeIn(sampleDocument('kyc-approved'), owner);
    await lab.takeIn(userDocument(), owner);
    await lab.mint(source, { from: owner, to });
    await lab.start(source, { from: owner, to: lab.third });
    const backup = await partsOf(source);
    expect(backup.length).toBeGreaterThan(4);
    /** Parts of the copy that some wrapped key of the database opens, for whomever it was wrapped. */
    const openable = async () => {
      const keys = await lab.rows<{ wrapped: Buffer }>(
        'select wrapped from session_key union all select wrapped from token_key',
      );
      return backup.filter((part) =>
        [owner, to, lab.third].some(({ id }) =>
          keys.some(({ wrapped }) => {
            try {
              testSealer.openBytes(contextOf(part, id, source), part.payload, { keyId: source, wrapped });
              return true;
            } catch {
              return false;
            }
          }),
        ),
      );
    };
    expect(await openable()).toHaveLength(backup.length);
    await lab.remove(owner, source);
    expect(await openable()).toEqual([]);
    expect(await lab.rows('select 1 from session_key where key_id = $1', [source])).toEqual([]);
    expect(await lab.rows('select 1 from token_key where key_id = $1', [source])).toEqual([]);
  });

  it('stays with those who imported it before, who have the key for themselves', async () => {
    const source = await lab.takeIn(userDocument());
    const imported = await lab.redeem((await lab.mint(source)).tokenId);
    await lab.remove(lab.issuer, source);
    expect(await decisionOf(lab.partner, imported.sessionId)).toEqual(imported.decision);
    await lab.remove(lab.partner, imported.sessionId);
    expect(await lab.rows('select 1 from session_key where key_id = $1', [source])).toEqual([]);
  });
});
