import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { Acceptance } from '../../src/domain/onboarding.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { businessDocument, refusalOf, shareLab, userDocument, type LabBrand, type Word } from '../support/share-lab.ts';
import { sealContextOfEvent } from '../../src/postgres/events.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
afterEach(() => resetClock(lab.database.pool));

const pass = () => shiftClock(lab.database.pool, '2 hours');
const acknowledgements = (tokenId: string) =>
  lab.rows<{ state: string; accept: boolean; spent_code: string | null; spent_field: string | null }>(
    'select state, accept, spent_code, spent_field from acknowledgement where token_id = $1 order by created_at',
    [tokenId],
  );

/** An onboarding between two new brands whose connection has this acceptance. */
async function started(
  acceptance: Acceptance,
): Promise<{ tokenId: string; from: LabBrand; to: LabBrand; source: string }> {
  const [from, to] = [await lab.newBrand(), await lab.newBrand()];
  await lab.connect(from, to, { acceptance });
  const source = await lab.takeIn(userDocument(), from);
  return { tokenId: await lab.start(source, { from, to }), from, to, source };
}

describe('accepting', () => {
  it('reserves the token past its expiry for the run’s import alone', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await lab.acknowledge(tokenId);
    await pass();
    expect((await refusalOf(lab.redeem(tokenId))).code).toBe('share_token_expired');
    expect((await lab.close(tokenId, { as: 'expired' })).state).toBe('acknowledged');
    expect((await lab.runImport(tokenId)).state).toBe('redeemed');
    expect(await acknowledgements(tokenId)).toMatchObject([{ state: 'redeemed' }]);
  });

  it('writes a row, ends the wait, and signals the run with the row’s id', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    lab.wishes.length = 0;
    await lab.acknowledge(tokenId);
    const [row] = await lab.rows('select acknowledgement_id from acknowledgement where token_id = $1', [tokenId]);
    expect(lab.wishes).toMatchObject([
      { wish: 'signal', tokenId, signal: 'partnerAcknowledged', subjectId: row?.['acknowledgement_id'] },
    ]);
    expect(
      await lab.rows(`select result from onboarding_step where token_id = $1 and step = 'wait'`, [tokenId]),
    ).toEqual([{ result: 'acknowledged' }]);
  });

  it('again with the same body is the same row; with another it conflicts; at once it is one row too', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await Promise.all([lab.acknowledge(tokenId), lab.acknowledge(tokenId), lab.acknowledge(tokenId)]);
    lab.wishes.length = 0;
    await lab.acknowledge(tokenId);
    expect(await acknowledgements(tokenId)).toHaveLength(1);
    expect(lab.wishes).toEqual([]);
    for (const word of [{ trustReview: true }, { vendorData: null }, { reason: 'because' }]) {
      expect((await refusalOf(lab.acknowledge(tokenId, word))).code).toBe('acknowledgement_conflict');
    }
    expect(await acknowledgements(tokenId)).toHaveLength(1);
  });

  it('brings its choices to the import', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument({ status: 'Declined' })));
    const workflowId = await lab.newWorkflow(lab.partner, 'user');
    await lab.acknowledge(tokenId, { workflowId, vendorData: 'my-own-1', trustReview: true });
    const answer = await lab.runImport(tokenId);
    if (answer.state !== 'redeemed') throw new Error(answer.state);
    expect(await lab.decision(lab.partner, answer.sessionId)).toMatchObject({
      workflow_id: workflowId,
      vendor_data: 'my-own-1',
      status: 'Declined',
    });
    const [redemption] = await lab.rows(
      'select acknowledgement_id is not null as by_word, trust_review from redemption where token_id = $1',
      [tokenId],
    );
    expect(redemption).toEqual({ by_word: true, trust_review: true });
  });

  it('leaves the choice to the partner’s own call, when that comes first', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await lab.acknowledge(tokenId, { vendorData: 'by word', trustReview: true });
    const imported = await lab.redeem(tokenId, { vendorData: 'by call' });
    expect(imported.decision).toMatchObject({ vendor_data: 'by call', status: 'In Review' });
    expect(await acknowledgements(tokenId)).toMatchObject([{ state: 'withdrawn' }]);
    expect(
      await lab.rows('select acknowledgement_id, trust_review from redemption where token_id = $1', [tokenId]),
    ).toEqual([{ acknowledgement_id: null, trust_review: false }]);
    expect(await lab.runImport(tokenId)).toEqual({ state: 'redeemed', sessionId: imported.sessionId });
  });

  it('whose import is refused is spent with the reason, and may be done again', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await lab.acknowledge(tokenId, { vendorData: 'later-blocked' });
    await lab.rows(
      `insert into entity (entity_id, application_id, session_kind, vendor_data, status)
       values ($1, $2, 'user', 'later-blocked', 'BLOCKED')`,
      [randomUUID(), lab.partner.id],
    );
    expect(await refusalOf(lab.runImport(tokenId))).toMatchObject({ code: 'entity_blocked', field: 'vendor_data' });
    expect(await acknowledgements(tokenId)).toEqual([
      { state: 'spent', accept: true, spent_code: 'entity_blocked', spent_field: 'vendor_data' },
    ]);
    expect((await lab.look(tokenId)).state).toBe('open');
    await lab.acknowledge(tokenId, { vendorData: 'another' });
    expect((await lab.runImport(tokenId)).state).toBe('redeemed');
    expect(await acknowledgements(tokenId)).toMatchObject([{ state: 'spent' }, { state: 'redeemed' }]);
  });
});

describe('refusing', () => {
  it.each(['acknowledge', 'redeem', 'automatic'] as const)('works in %s mode', async (acceptance) => {
    const { tokenId, to } = await started(acceptance);
    await lab.acknowledge(tokenId, { accept: false, by: to });
    expect(await lab.look(tokenId)).toEqual({ state: 'refused' });
    expect((await refusalOf(lab.redeem(tokenId, {}, to))).code).toBe('share_token_revoked');
  });

  it('withdraws what was accepted, past the expiry too, and tells the issuer the partner’s reason', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await lab.acknowledge(tokenId);
    await pass();
    await lab.acknowledge(tokenId, { accept: false, reason: 'We changed our mind.' });
    expect(await lab.look(tokenId)).toEqual({ state: 'refused' });
    expect(await acknowledgements(tokenId)).toMatchObject([
      { accept: true, state: 'withdrawn' },
      { accept: false, state: 'refused' },
    ]);
    const events = await lab.rows<{ eventId: string; application_id: string; sessionId: string; payload: Buffer }>(
      `select event_id as "eventId", application_id, session_id as "sessionId", payload
       from event join event_payload using (event_id, application_id)
       where token_id = $1 and type = 'share.refused'`,
      [tokenId],
    );
    const [told] = events;
    expect(events).toHaveLength(1);
    if (told === undefined) throw new Error('the issuer was told');
    expect(told.application_id).toBe(lab.issuer.id);
    const context = sealContextOfEvent({ ...told, applicationId: told.application_id });
    expect(testSealer.openPayload(context, told.payload)).toMatchObject({
      reason: 'refused_by_partner',
      partner_reason: 'We changed our mind.',
    });
  });
});

describe('the acceptance mode', () => {
  it.each(['redeem', 'automatic'] as const)('%s waits for no word, and takes no yes', async (acceptance) => {
    const { tokenId, to } = await started(acceptance);
    const before = await lab.counts();
    expect((await refusalOf(lab.acknowledge(tokenId, { by: to }))).code).toBe('acceptance_mode');
    expect(await lab.counts()).toEqual(before);
  });

  it('automatic falls back to waiting when its import is refused; then a yes is taken', async () => {
    const { tokenId, to, source, from } = await started('automatic');
    // A living import by another token is in the way, and can be mended.
    const inTheWay = await lab.redeem((await lab.mint(source, { from, to })).tokenId, {}, to);
    expect((await refusalOf(lab.runImport(tokenId))).code).toBe('already_imported');
    expect(await lab.rows('select acceptance, status from onboarding where token_id = $1', [tokenId])).toMatchObject([
      { acceptance: 'acknowledge' },
    ]);
    await lab.remove(to, inTheWay.sessionId);
    await lab.acknowledge(tokenId, { by: to });
    expect((await lab.runImport(tokenId)).state).toBe('redeemed');
  });

  it('automatic imports at once until the expiry, and never after', async () => {
    const [soon, late] = [await started('automatic'), await started('automatic')];
    expect((await lab.runImport(soon.tokenId)).state).toBe('redeemed');
    await pass();
    expect(await lab.runImport(late.tokenId)).toEqual({ state: 'expired' });
  });

  it('redeem waits for the partner’s own call', async () => {
    const { tokenId, to } = await started('redeem');
    expect((await lab.runImport(tokenId)).state).toBe('open');
    const imported = await lab.redeem(tokenId, {}, to);
    expect(await lab.runImport(tokenId)).toEqual({ state: 'redeemed', sessionId: imported.sessionId });
  });
});

describe('a word that comes at the wrong time', () => {
  const words: Word[] = [{ accept: true }, { accept: false }];

  it('is too early while the token is being minted', async () => {
    const tokenId = await lab.open(await lab.takeIn(userDocument()));
    for (const word of words) {
      expect((await refusalOf(lab.acknowledge(tokenId, word))).code).toBe('onboarding_minting');
    }
  });

  it.each<[string, (tokenId: string) => Promise<unknown>]>([
    ['imported', (tokenId) => lab.redeem(tokenId)],
    ['refused', (tokenId) => lab.acknowledge(tokenId, { accept: false })],
    ['revoked', (tokenId) => lab.revoke(tokenId)],
    ['undeliverable', (tokenId) => lab.close(tokenId, { as: 'undeliverable', reason: 'gone' })],
    ['rejected', (tokenId) => lab.close(tokenId, { as: 'rejected', reason: 'application_deleted' })],
    ['expired', pass],
  ])('is too late when the share is %s, and says so', async (status, end) => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await end(tokenId);
    const before = await lab.counts();
    for (const word of words) {
      expect(await refusalOf(lab.acknowledge(tokenId, word))).toMatchObject({
        code: 'onboarding_ended',
        extra: { status },
      });
    }
    expect(await lab.counts()).toEqual(before);
  });

  it('is about nothing for anybody but the partner, and for a token without an onboarding', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    const plain = await lab.mint(await lab.takeIn(userDocument()));
    for (const call of [
      () => lab.acknowledge(tokenId, { by: lab.third }),
      () => lab.acknowledge(tokenId, { by: lab.issuer }),
      () => lab.acknowledge(plain.tokenId),
      () => lab.acknowledge(randomUUID()),
    ]) {
      expect((await refusalOf(call())).code).toBe('unknown_onboarding');
    }
  });
});

describe('a yes whose import could not succeed', () => {
  interface Scene {
    readonly tokenId: string;
    readonly source: string;
    readonly person: string;
    readonly from: LabBrand;
    readonly to: LabBrand;
  }
  const block = (to: LabBrand, kind: string, vendorData: string) =>
    lab.rows(
      `insert into entity (entity_id, application_id, session_kind, vendor_data, status)
       values ($1, $2, $3, $4, 'BLOCKED')`,
      [randomUUID(), to.id, kind, vendorData],
    );

  it.each<[string, string | undefined, Word, (scene: Scene) => Promise<unknown>]>([
    [
      'already_imported',
      undefined,
      {},
      async ({ source, from, to }) => lab.redeem((await lab.mint(source, { from, to })).tokenId, {}, to),
    ],
    [
      'connection_suspended',
      undefined,
      {},
      async ({ from, to }) => lab.changeConnection(await lab.connect(from, to), from, { suspended: true }),
    ],
    [
      'application_deleted',
      undefined,
      {},
      ({ from }) => lab.rows('update application set deleted_at = now() where application_id = $1', [from.id]),
    ],
    ['source_session_gone', undefined, {}, ({ from, source }) => lab.remove(from, source)],
    [
      'source_not_shareable',
      undefined,
      {},
      ({ source }) => lab.rows(`update session set status = 'Expired' where session_id = $1`, [source]),
    ],
    ['workflow_not_found', 'workflow_id', { workflowId: randomUUID() }, async () => {}],
    ['workflow_not_found', 'workflow_id', { workflowId: 'no uuid at all' }, async () => {}],
    [
      'workflow_required',
      'workflow_id',
      {},
      ({ to }) => lab.rows('update verification_workflow set is_default = false where application_id = $1', [to.id]),
    ],
    ['entity_blocked', 'vendor_data', { vendorData: 'biz' }, ({ to }) => block(to, 'business', 'biz')],
    ['entity_blocked', 'vendor_data', {}, ({ from, to }) => block(to, 'user', `${from.id}:officer-1`)],
  ])('is refused at once: %s %s %j', async (code, field, word, spoil) => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    const person = await lab.takeIn(userDocument({ vendor_data: 'officer-1' }), from);
    const source = await lab.takeIn(businessDocument([person]), from);
    const tokenId = await lab.start(source, { from, to });
    await spoil({ tokenId, source, person, from, to });
    const before = await lab.counts();
    expect(await refusalOf(lab.acknowledge(tokenId, { ...word, by: to }))).toMatchObject({ code, field });
    expect(await lab.counts()).toEqual(before);
    expect((await lab.look(tokenId)).state).toBe('open');
  });

  it('is refused at once for a workflow of the other kind or of somebody else', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    expect(await refusalOf(lab.acknowledge(tokenId, { workflowId: lab.partner.workflows.business }))).toMatchObject({
      code: 'workflow_kind_mismatch',
      field: 'workflow_id',
    });
    expect((await refusalOf(lab.acknowledge(tokenId, { workflowId: lab.issuer.workflows.user }))).code).toBe(
      'workflow_not_found',
    );
  });
});
