import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { SESSION_STATUSES, isFinished } from '../../src/domain/session-status.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { KID, refusalOf, shareLab, userDocument, type LabBrand, type ShareOrder } from '../support/share-lab.ts';

const lab = shareLab();
afterEach(() => resetClock(lab.database.pool));

const deleteApplication = (brand: LabBrand) =>
  lab.rows('update application set deleted_at = now() where application_id = $1', [brand.id]);

async function grown(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await lab.counts();
  await work();
  const after = await lab.counts();
  const changes = Object.entries(after).map(([table, count]) => [table, count - (before[table] ?? 0)] as const);
  return Object.fromEntries(changes.filter(([, change]) => change !== 0));
}

describe('a mint', () => {
  it('writes the token’s row and tells the issuer, nothing else', async () => {
    const sessionId = await lab.takeIn(userDocument());
    lab.wishes.length = 0;
    let minted: Awaited<ReturnType<typeof lab.mint>> | undefined;
    expect(await grown(async () => (minted = await lab.mint(sessionId, { ttlSeconds: 60 })))).toEqual({
      share_token: 1,
      token_key: 1,
      event_sequence: 1,
      event: 1,
      audit_unsealed: 1,
      event_payload: 1,
      outbox: 1,
    });
    const [row] = await lab.rows(
      `select token_id as "tokenId", session_id as "sessionId", session_kind as "sessionKind", issuer_id as "issuerId",
         partner_id as "partnerId", environment, kid,
         extract(epoch from issued_at)::float8 as "issuedAt",
         extract(epoch from expires_at)::float8 as "expiresAt"
       from share_token where token_id = $1`,
      [minted?.tokenId],
    );
    expect(row).toEqual(minted);
    expect(minted).toMatchObject({ sessionId, sessionKind: 'user', kid: KID, partnerId: lab.partner.id });
    expect(Number.isInteger(minted?.issuedAt)).toBe(true);
    expect((minted?.expiresAt ?? 0) - (minted?.issuedAt ?? 0)).toBe(60);
    expect(
      await lab.rows('select type, application_id, session_id, actor_kind from event where token_id = $1', [
        minted?.tokenId,
      ]),
    ).toEqual([{ type: 'share.minted', application_id: lab.issuer.id, session_id: sessionId, actor_kind: 'api_key' }]);
    expect(lab.wishes.map(({ wish }) => wish)).toEqual(['dispatch']);
  });

  it('is dated by the database’s clock', async () => {
    const sessionId = await lab.takeIn(userDocument());
    const now = await lab.mint(sessionId);
    await shiftClock(lab.database.pool, '3 days');
    const later = await lab.mint(sessionId);
    expect(Math.round((later.issuedAt - now.issuedAt) / 86_400)).toBe(3);
  });

  it.each(SESSION_STATUSES)('of a session that is %s', async (status) => {
    const sessionId = await lab.takeIn(userDocument({ status }));
    if (isFinished(status)) await expect(lab.mint(sessionId)).resolves.toMatchObject({ sessionId });
    else expect((await refusalOf(lab.mint(sessionId))).code).toBe('session_not_finished');
  });

  it('is for the importer to make too, of what it imported', async () => {
    const first = await lab.mint(await lab.takeIn(userDocument()));
    const imported = await lab.redeem(first.tokenId, { trustReview: true });
    await expect(lab.mint(imported.sessionId, { from: lab.partner, to: lab.third })).resolves.toMatchObject({
      sessionId: imported.sessionId,
      issuerId: lab.partner.id,
    });
  });
});

/** Every fault from this one on is there at once, so that the first in the order is the one that is answered. */
interface Faults {
  readonly unknownSession?: boolean;
  readonly toSelf?: boolean;
  readonly unknownPartner?: boolean;
  readonly otherEnvironment?: boolean;
  readonly unfinished?: boolean;
  readonly suspended?: boolean;
  readonly deleted?: 'issuer' | 'partner';
}

describe.each(['mint', 'open'] as const)('%s refuses in order', (verb) => {
  it.each<[string, string | undefined, Faults]>([
    ['session_not_found', undefined, { unknownSession: true, toSelf: true, unfinished: true }],
    ['invalid_request', 'for_application_id', { toSelf: true, unfinished: true, deleted: 'issuer' }],
    ['invalid_request', 'for_application_id', { unknownPartner: true, unfinished: true, deleted: 'issuer' }],
    ['invalid_request', 'for_application_id', { otherEnvironment: true, unfinished: true, deleted: 'partner' }],
    ['session_not_finished', undefined, { unfinished: true, suspended: true, deleted: 'partner' }],
    ['connection_suspended', undefined, { suspended: true, deleted: 'issuer' }],
    ['application_deleted', undefined, { deleted: 'issuer' }],
    ['application_deleted', undefined, { deleted: 'partner' }],
  ])('%s %s %j', async (code, field, faults) => {
    const from = await lab.newBrand();
    const partner = await lab.newBrand(faults.otherEnvironment ? 'live' : 'sandbox');
    const own = await lab.takeIn(userDocument({ status: faults.unfinished ? 'In Progress' : 'Approved' }), from);
    if (faults.suspended) {
      const connection = await lab.connect(from, partner, {});
      await lab.changeConnection(connection, partner, { suspended: true });
    }
    if (faults.deleted !== undefined) await deleteApplication(faults.deleted === 'issuer' ? from : partner);
    const to = faults.toSelf ? from : faults.unknownPartner ? { ...partner, id: randomUUID() } : partner;
    const sessionId = faults.unknownSession ? randomUUID() : own;

    const before = await lab.counts();
    const refusal = await refusalOf(lab[verb](sessionId, { from, to }));
    expect(refusal).toMatchObject({ code, field });
    expect(await lab.counts()).toEqual(before);
  });

  it('another tenant’s session as if it were not there', async () => {
    const sessionId = await lab.takeIn(userDocument(), lab.third);
    expect((await refusalOf(lab[verb](sessionId))).code).toBe('session_not_found');
  });
});

describe('the environment that counts', () => {
  it('is the one stamped on the session, and the partner’s of now', async () => {
    const [from, to] = [await lab.newBrand('sandbox'), await lab.newBrand('sandbox')];
    const sessionId = await lab.takeIn(userDocument(), from);
    const order = { from, to };
    await lab.rows(`update application set environment = 'live' where application_id = $1`, [from.id]);
    await expect(lab.mint(sessionId, order)).resolves.toMatchObject({ sessionId });
    await lab.rows(`update application set environment = 'live' where application_id = $1`, [to.id]);
    expect(await refusalOf(lab.mint(sessionId, order))).toMatchObject({ field: 'for_application_id' });
    const live = await lab.takeIn(userDocument(), from);
    await expect(lab.mint(live, order)).resolves.toMatchObject({ sessionId: live });
  });
});

describe('an onboarding', () => {
  it('is a row and the wish for its run, without a token yet', async () => {
    const sessionId = await lab.takeIn(userDocument());
    lab.wishes.length = 0;
    let tokenId = '';
    expect(await grown(async () => (tokenId = await lab.open(sessionId)))).toEqual({
      onboarding: 1,
      onboarding_step: 1,
      outbox: 1,
      event: 1,
      audit_unsealed: 1,
    });
    expect(lab.wishes).toMatchObject([{ wish: 'start', tokenId, subjectId: tokenId }]);
    expect(await lab.look(tokenId)).toEqual({ state: 'minting' });
  });

  it('that is imported at once has the notice of it made with the token, for the sender', async () => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    await lab.connect(from, to, { acceptance: 'automatic' });
    const tokenId = await lab.open(await lab.takeIn(userDocument(), from), { from, to });
    lab.wishes.length = 0;
    expect(await lab.runMint(tokenId)).toMatchObject({ state: 'minted', acceptance: 'automatic' });
    expect(await lab.runMint(tokenId)).toMatchObject({ state: 'minted', acceptance: 'automatic' });
    expect(await lab.rows('select type from event where token_id = $1 and sequence is not null', [tokenId])).toEqual(
      expect.arrayContaining([{ type: 'share.minted' }, { type: 'share.received' }]),
    );
    expect(lab.wishes.map(({ wish }) => wish)).toEqual(['dispatch', 'dispatch']);
  });

  it('is minted once by its run, with the id that it has', async () => {
    const tokenId = await lab.open(await lab.takeIn(userDocument()), { ttlSeconds: 120 });
    const first = await lab.runMint(tokenId);
    expect(first).toMatchObject({ state: 'minted', acceptance: 'acknowledge', remainingMs: 120_000 });
    const again = await Promise.all([lab.runMint(tokenId), lab.runMint(tokenId)]);
    for (const outcome of again) {
      expect(outcome).toMatchObject({ state: 'minted', acceptance: 'acknowledge' });
      if (first.state === 'minted' && outcome.state === 'minted') expect(outcome.expiresAt).toBe(first.expiresAt);
    }
    expect(await lab.rows('select kid from share_token where token_id = $1', [tokenId])).toEqual([{ kid: KID }]);
    expect(await lab.rows('select type from event where token_id = $1 order by created_at', [tokenId])).toEqual([
      { type: 'onboarding.opened' },
      { type: 'share.minted' },
    ]);
    expect(await lab.look(tokenId)).toMatchObject({ state: 'open' });
  });

  it.each<[string, (order: Required<Pick<ShareOrder, 'from' | 'to'>>) => Promise<unknown>, string]>([
    ['no connection', async () => {}, 'acknowledge'],
    ['a connection that is only proposed', ({ from, to }) => lab.connect(from, to), 'acknowledge'],
    ['an active one', ({ from, to }) => lab.connect(from, to, { acceptance: 'automatic' }), 'automatic'],
    ['an active one for its own calls', ({ from, to }) => lab.connect(from, to, { acceptance: 'redeem' }), 'redeem'],
    ['one of the other direction', ({ from, to }) => lab.connect(to, from, { acceptance: 'automatic' }), 'acknowledge'],
  ])('takes its acceptance from %s', async (_name, connect, acceptance) => {
    const order = { from: await lab.newBrand(), to: await lab.newBrand() };
    await connect(order);
    const tokenId = await lab.open(await lab.takeIn(userDocument(), order.from), order);
    expect(await lab.runMint(tokenId)).toMatchObject({ acceptance });
  });

  it('keeps the acceptance of its mint when the connection changes', async () => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    const connection = await lab.connect(from, to, { acceptance: 'redeem' });
    const tokenId = await lab.start(await lab.takeIn(userDocument(), from), { from, to });
    await lab.changeConnection(connection, to, { terms: { acceptance: 'automatic' } });
    expect(await lab.runMint(tokenId)).toMatchObject({ acceptance: 'redeem' });
  });

  it('that ended before its mint is not minted', async () => {
    const tokenId = await lab.open(await lab.takeIn(userDocument()));
    await lab.revoke(tokenId);
    expect(await lab.runMint(tokenId)).toEqual({
      state: 'ended',
      answer: { state: 'revoked', reason: 'revoked_by_issuer' },
    });
    expect(await lab.rows('select 1 from share_token where token_id = $1', [tokenId])).toEqual([]);
  });

  it.each<[string, string, (sessionId: string) => Promise<unknown>]>([
    ['is gone', 'session_not_found', (sessionId) => lab.remove(lab.issuer, sessionId)],
    [
      'is no longer finished',
      'session_not_finished',
      (sessionId) => lab.rows(`update session set status = 'In Progress' where session_id = $1`, [sessionId]),
    ],
  ])('refuses its mint when the session %s by then', async (_name, code, change) => {
    const sessionId = await lab.takeIn(userDocument());
    const tokenId = await lab.open(sessionId);
    await change(sessionId);
    expect((await refusalOf(lab.runMint(tokenId))).code).toBe(code);
    expect(await lab.look(tokenId)).toEqual({ state: 'minting' });
  });

  it('that nobody opened is unknown', async () => {
    expect((await refusalOf(lab.runMint(randomUUID()))).code).toBe('unknown_onboarding');
    const plain = await lab.mint(await lab.takeIn(userDocument()));
    expect((await refusalOf(lab.runMint(plain.tokenId))).code).toBe('unknown_onboarding');
  });
});
