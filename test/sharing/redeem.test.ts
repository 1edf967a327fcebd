import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { SessionKind } from '../../src/domain/decision-categories.ts';
import type { ImportChoice, PartnerTerms } from '../../src/sharing/ports.ts';
import { redeemShareToken } from '../../src/sharing/redeem.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import {
  businessDocument,
  refusalOf,
  shareLab,
  STYLE,
  userDocument,
  type LabBrand,
  type ShareLab,
} from '../support/share-lab.ts';

const lab = shareLab();
afterEach(() => resetClock(lab.database.pool));

interface Scene {
  readonly tokenId: string;
  readonly source: string;
  readonly from: LabBrand;
  readonly to: LabBrand;
}

/** A token between two new brands. */
async function minted(document = userDocument(), terms?: PartnerTerms): Promise<Scene> {
  const [from, to] = [await lab.newBrand(), await lab.newBrand()];
  if (terms !== undefined) await lab.connect(from, to, terms);
  const source = await lab.takeIn(document, from);
  const { tokenId } = await lab.mint(source, { from, to });
  return { tokenId, source, from, to };
}

/** What is stored of an import. */
async function storedImport(on: ShareLab, to: LabBrand, sessionId: string) {
  const [row] = await on.rows<{
    status: string;
    first_status: string;
    workflow_id: string;
    vendor_data: string | null;
    session_kind: SessionKind;
  }>(
    'select status, first_status, workflow_id, vendor_data, session_kind from session where session_id = $1 and application_id = $2',
    [sessionId, to.id],
  );
  if (row === undefined) throw new Error('the import is stored');
  return row;
}

const block = (of: LabBrand, kind: SessionKind, vendorData: string) =>
  lab.rows(
    `insert into entity (entity_id, application_id, session_kind, vendor_data, status)
     values ($1, $2, $3, $4, 'BLOCKED')
     on conflict (application_id, session_kind, vendor_data) do update set status = 'BLOCKED'`,
    [randomUUID(), of.id, kind, vendorData],
  );

describe('an import is refused by the first rule of the contract that says no', () => {
  const FAULTS = {
    share_token_not_for_this_application: async () => {},
    share_token_expired: () => shiftClock(lab.database.pool, '2 hours'),
    share_token_revoked: ({ tokenId }: Scene) =>
      lab.rows(`update share_token set closed_at = now(), closed_as = 'revoked' where token_id = $1`, [tokenId]),
    already_imported: ({ tokenId, to }: Scene) => lab.redeem(tokenId, {}, to),
    connection_suspended: async ({ from, to }: Scene) =>
      lab.changeConnection(await lab.connect(from, to, {}), to, { suspended: true }),
    application_deleted: ({ to }: Scene) =>
      lab.rows('update application set deleted_at = now() where application_id = $1', [to.id]),
    source_session_gone: ({ from, source }: Scene) => lab.remove(from, source),
    source_not_shareable: ({ source }: Scene) =>
      lab.rows(`update session set status = 'Resubmitted' where session_id = $1`, [source]),
    workflow_not_found: async () => {},
    workflow_kind_mismatch: async () => {},
    entity_blocked: ({ to }: Scene) => block(to, 'user', 'blocked-1'),
  };
  // What would prevent a fault from being set up comes after it.
  const SETUP = [
    'already_imported',
    'connection_suspended',
    'entity_blocked',
    'source_not_shareable',
    'source_session_gone',
    'application_deleted',
    'share_token_revoked',
    'share_token_expired',
  ] as const satisfies readonly (keyof typeof FAULTS)[];
  const ORDER = Object.keys(FAULTS) as (keyof typeof FAULTS)[];
  it.each(ORDER.map((code, index) => [code, ORDER.slice(index + 1)] as const))(
    '%s comes before %j',
    async (code, later) => {
      const scene = await minted();
      const present = [code, ...later];
      for (const fault of SETUP) if (present.includes(fault)) await FAULTS[fault](scene);
      const workflowId = present.includes('workflow_not_found')
        ? randomUUID()
        : present.includes('workflow_kind_mismatch')
          ? scene.to.workflows.business
          : scene.to.workflows.user;
      const by = code === 'share_token_not_for_this_application' ? lab.third : scene.to;
      const before = await lab.counts();
      const refusal = await refusalOf(lab.redeem(scene.tokenId, { workflowId, vendorData: 'blocked-1' }, by));
      expect(refusal.code).toBe(code);
      expect(await lab.counts()).toEqual(before);
    },
  );

  it('an unknown token id as invalid', async () => {
    expect((await refusalOf(lab.redeem(randomUUID()))).code).toBe('share_token_invalid');
    expect((await refusalOf(lab.redeem(await lab.open(await lab.takeIn(userDocument()))))).code).toBe(
      'share_token_invalid',
    );
  });

  it('a token that another key signed than the one of its row', async () => {
    const { tokenId, to } = await minted();
    const call = { tokenId, kid: 'another', partnerId: to.id, choice: {} };
    const actor = { kind: 'api_key', id: 'key' } as const;
    const redeemed = lab.handoff.withTenant(to.id, (tx) => redeemShareToken(tx, call, actor, STYLE), 'redeem');
    expect((await refusalOf(redeemed)).code).toBe('share_token_invalid');
  });

  it.each([
    ['application_deleted', 'revoked', 'application_deleted'],
    ['share_token_revoked', 'revoked', 'because'],
    // These are the partner's own words.
    ['share_token_revoked', 'rejected', 'application_deleted'],
  ])('as %s a token that was closed as %s, with the reason %s', async (code, as, reason) => {
    const { tokenId, to } = await minted();
    await lab.rows(
      'update share_token set closed_at = handoff_now(), closed_as = $2, closed_reason = $3 where token_id = $1',
      [tokenId, as, reason],
    );
    expect((await refusalOf(lab.redeem(tokenId, {}, to))).code).toBe(code);
  });

  it('a token whose import was deleted, which stays spent', async () => {
    const scene = await minted();
    const { sessionId } = await lab.redeem(scene.tokenId, {}, scene.to);
    await lab.remove(scene.to, sessionId);
    expect(await refusalOf(lab.redeem(scene.tokenId, {}, scene.to))).toMatchObject({
      code: 'already_imported',
      extra: { existing_session_id: sessionId },
    });
  });

  it('a second token of the pair, with the import that is there', async () => {
    const scene = await minted();
    const imported = await lab.redeem(scene.tokenId, {}, scene.to);
    const second = await lab.mint(scene.source, scene);
    for (const tokenId of [scene.tokenId, second.tokenId]) {
      expect(await refusalOf(lab.redeem(tokenId, {}, scene.to))).toMatchObject({
        code: 'already_imported',
        extra: { existing_session_id: imported.sessionId },
      });
    }
    // The issuer learns nothing of it.
    expect((await refusalOf(lab.redeem(scene.tokenId, {}, scene.from))).extra).toBeUndefined();
  });

  it('a second token of the pair that comes while the first import is not committed yet, once it is', async () => {
    const scene = await minted();
    const second = await lab.mint(scene.source, scene);
    // The counter is the last row that an import locks: whoever holds it holds the import.
    await lab.takeIn(userDocument(), scene.to);
    const counter = ['select 1 from session_counter where application_id = $1 for update', scene.to.id] as const;
    const [first, refused] = await lab.holding(counter, async () => {
      const earlier = lab.redeem(scene.tokenId, {}, scene.to);
      await Promise.race([earlier, lab.waiting(1)]);
      const later = refusalOf(lab.redeem(second.tokenId, {}, scene.to));
      await Promise.race([later, lab.waiting(2)]);
      return [earlier, later];
    });
    const { sessionId } = await first;
    expect(await refused).toMatchObject({ code: 'already_imported', extra: { existing_session_id: sessionId } });
    expect(await lab.rows('select session_id from redemption where partner_id = $1', [scene.to.id])).toEqual([
      { session_id: sessionId },
    ]);
  });

  it('the same session for another partner is another pair', async () => {
    const scene = await minted();
    await lab.redeem(scene.tokenId, {}, scene.to);
    const other = await lab.mint(scene.source, { from: scene.from, to: lab.third });
    await expect(lab.redeem(other.tokenId, {}, lab.third)).resolves.toHaveProperty('sessionId');
  });

  it('a source of the other environment than the partner’s by now', async () => {
    const scene = await minted();
    await lab.rows(`update application set environment = 'live' where application_id = $1`, [scene.to.id]);
    expect((await refusalOf(lab.redeem(scene.tokenId, {}, scene.to))).code).toBe('source_not_shareable');
  });

  it.each(['Not Started', 'In Progress', 'Awaiting User', 'Expired', 'Abandoned', 'Kyc Expired'])(
    'a source that is %s by now',
    async (status) => {
      const scene = await minted();
      await lab.rows('update session set status = $2 where session_id = $1', [scene.source, status]);
      expect((await refusalOf(lab.redeem(scene.tokenId, {}, scene.to))).code).toBe('source_not_shareable');
    },
  );

  it('either side’s suspension, until that side lifts it', async () => {
    const scene = await minted();
    const connection = await lab.connect(scene.from, scene.to);
    for (const side of [scene.from, scene.to]) {
      await lab.changeConnection(connection, side, { suspended: true });
      expect((await refusalOf(lab.redeem(scene.tokenId, {}, scene.to))).code).toBe('connection_suspended');
      await lab.changeConnection(connection, side === scene.from ? scene.to : scene.from, { suspended: false });
      expect((await refusalOf(lab.redeem(scene.tokenId, {}, scene.to))).code).toBe('connection_suspended');
      await lab.changeConnection(connection, side, { suspended: false });
    }
    await expect(lab.redeem(scene.tokenId, {}, scene.to)).resolves.toHaveProperty('sessionId');
  });
});

/** Imports by the plain call, or by an onboarding's acknowledgement. */
async function importBy(
  way: 'plain' | 'onboarding',
  scene: { source: string; from: LabBrand; to: LabBrand },
  choice: ImportChoice,
): Promise<string> {
  if (way === 'plain')
    return (await lab.redeem((await lab.mint(scene.source, scene)).tokenId, choice, scene.to)).sessionId;
  const tokenId = await lab.start(scene.source, scene);
  await lab.acknowledge(tokenId, { ...choice, by: scene.to });
  const answer = await lab.runImport(tokenId);
  if (answer.state !== 'redeemed') throw new Error(answer.state);
  return answer.sessionId;
}

const documentOf = { user: userDocument, business: (changes: object) => businessDocument([], changes as never) };

describe.each(['user', 'business'] as const)('trust_review of a %s session', (kind) => {
  // The plain call takes it from its body alone.
  it.each<['plain' | 'onboarding', boolean | undefined, boolean | undefined, boolean]>([
    ['plain', undefined, undefined, false],
    ['plain', undefined, true, false],
    ['plain', true, undefined, true],
    ['plain', true, false, true],
    ['plain', false, true, false],
    ['onboarding', undefined, undefined, false],
    ['onboarding', undefined, true, true],
    ['onboarding', undefined, false, false],
    ['onboarding', true, false, true],
    ['onboarding', false, true, false],
  ])('%s: said %s, on the connection %s, trusted %s', async (way, said, agreed, trusted) => {
    const statuses = ['Approved', 'Declined', 'In Review'] as const;
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    if (agreed !== undefined) await lab.connect(from, to, { trustReview: agreed });
    for (const status of statuses) {
      const source = await lab.takeIn(documentOf[kind]({ status }), from);
      const sessionId = await importBy(way, { source, from, to }, said === undefined ? {} : { trustReview: said });
      const shown = trusted ? status : 'In Review';
      expect(await storedImport(lab, to, sessionId)).toMatchObject({ status: shown, first_status: shown });
    }
  });

  it('of a connection that is only proposed counts for nothing', async () => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    const connection = await lab.connect(from, to);
    await lab.changeConnection(connection, to, { terms: { trustReview: true } });
    const source = await lab.takeIn(documentOf[kind]({ status: 'Approved' }), from);
    const sessionId = await importBy('onboarding', { source, from, to }, {});
    expect((await storedImport(lab, to, sessionId)).status).toBe('In Review');
  });

  it('shows the status in the kind’s own casing', async () => {
    const source = await lab.takeIn(documentOf[kind]({ status: 'In Review' }));
    const { decision } = await lab.redeem((await lab.mint(source)).tokenId);
    expect(decision['status']).toBe(kind === 'user' ? 'In Review' : 'IN_REVIEW');
  });
});

describe('vendor_data', () => {
  const ISSUER = '<issuer>';
  it.each<['plain' | 'onboarding', string | null, string | null | undefined, PartnerTerms | undefined, string | null]>([
    ['plain', 'crm-1', undefined, undefined, 'crm-1'],
    ['plain', 'crm-1', undefined, { vendorDataRule: 'prefixed' }, 'crm-1'],
    ['plain', 'crm-1', 'mine', { vendorDataRule: 'same' }, 'mine'],
    ['plain', 'crm-1', null, undefined, null],
    ['plain', null, undefined, undefined, null],
    ['plain', null, 'mine', undefined, 'mine'],
    ['onboarding', 'crm-1', undefined, undefined, `${ISSUER}:crm-1`],
    ['onboarding', 'crm-1', undefined, { vendorDataRule: 'prefixed' }, `${ISSUER}:crm-1`],
    ['onboarding', 'crm-1', undefined, { vendorDataRule: 'same' }, 'crm-1'],
    ['onboarding', 'crm-1', 'mine', { vendorDataRule: 'same' }, 'mine'],
    ['onboarding', 'crm-1', null, { vendorDataRule: 'same' }, null],
    ['onboarding', null, undefined, { vendorDataRule: 'prefixed' }, null],
    ['onboarding', null, undefined, { vendorDataRule: 'same' }, null],
    ['onboarding', null, 'mine', undefined, 'mine'],
  ])('%s: %j, said %j, by %j', async (way, own, said, terms, expected) => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    if (terms !== undefined) await lab.connect(from, to, terms);
    const source = await lab.takeIn(userDocument({ vendor_data: own }), from);
    const sessionId = await importBy(way, { source, from, to }, said === undefined ? {} : { vendorData: said });
    const wanted = expected?.replace(ISSUER, from.id) ?? null;
    expect((await storedImport(lab, to, sessionId)).vendor_data).toBe(wanted);
    const entities = await lab.rows('select session_kind, vendor_data, status from entity where application_id = $1', [
      to.id,
    ]);
    expect(entities).toEqual(wanted === null ? [] : [{ session_kind: 'user', vendor_data: wanted, status: 'ACTIVE' }]);
  });
});

describe('an entity', () => {
  it('that is there is used again, also by imports at the same moment', async () => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    const tokens = await Promise.all(
      Array.from({ length: 8 }, async () => lab.mint(await lab.takeIn(userDocument(), from), { from, to })),
    );
    await Promise.all(tokens.map(({ tokenId }) => lab.redeem(tokenId, { vendorData: 'one and the same' }, to)));
    expect(await lab.rows('select vendor_data from entity where application_id = $1', [to.id])).toEqual([
      { vendor_data: 'one and the same' },
    ]);
  });

  it('of the same name but the other kind or another application blocks nothing', async () => {
    const scene = await minted(userDocument({ vendor_data: 'shared-name' }));
    await block(scene.to, 'business', 'shared-name');
    await block(scene.from, 'user', 'shared-name');
    await expect(lab.redeem(scene.tokenId, {}, scene.to)).resolves.toHaveProperty('sessionId');
  });

  it('that is flagged does not block', async () => {
    const scene = await minted(userDocument({ vendor_data: 'flagged-1' }));
    await block(scene.to, 'user', 'flagged-1');
    expect(await refusalOf(lab.redeem(scene.tokenId, {}, scene.to))).toMatchObject({
      code: 'entity_blocked',
      field: 'vendor_data',
    });
    await lab.rows(`update entity set status = 'FLAGGED' where application_id = $1`, [scene.to.id]);
    await expect(lab.redeem(scene.tokenId, {}, scene.to)).resolves.toHaveProperty('sessionId');
  });

  it('of a person of the business blocks the whole import', async () => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    const person = await lab.takeIn(userDocument({ vendor_data: 'officer-9' }), from);
    const source = await lab.takeIn(businessDocument([person]), from);
    await lab.connect(from, to, { vendorDataRule: 'same', acceptance: 'automatic' });
    await block(to, 'user', 'officer-9');
    const tokenId = await lab.start(source, { from, to });
    const before = await lab.counts();
    expect((await refusalOf(lab.runImport(tokenId))).code).toBe('entity_blocked');
    const after = await lab.counts();
    // The refusal is noted in the run's steps, and that is all.
    expect({ ...after, onboarding_step: before['onboarding_step'] }).toEqual(before);
    // The plain call gives people no vendor_data, so no entity of theirs is asked.
    await expect(lab.redeem(tokenId, {}, to)).resolves.toHaveProperty('sessionId');
  });
});

describe.each(['user', 'business'] as const)('the verification workflow of a %s import', (kind) => {
  const other = kind === 'user' ? 'business' : 'user';
  const defaults = (of: string): PartnerTerms => ({ defaultWorkflows: { [kind]: of } });

  async function scene(withDefaults: boolean) {
    const [from, to] = [await lab.newBrand(), await lab.newBrand('sandbox', withDefaults)];
    return { from, to, source: await lab.takeIn(documentOf[kind]({}), from) };
  }
  const redeem = async (at: Awaited<ReturnType<typeof scene>>, choice: ImportChoice = {}) =>
    storedImport(lab, at.to, (await lab.redeem((await lab.mint(at.source, at)).tokenId, choice, at.to)).sessionId);

  it('is the one that is named', async () => {
    const at = await scene(true);
    const workflowId = await lab.newWorkflow(at.to, kind);
    expect(await redeem(at, { workflowId })).toMatchObject({ workflow_id: workflowId });
  });

  it('is the connection’s default before the application’s', async () => {
    const at = await scene(true);
    const workflowId = await lab.newWorkflow(at.to, kind);
    await lab.connect(at.from, at.to, defaults(workflowId));
    expect(await redeem(at)).toMatchObject({ workflow_id: workflowId });
  });

  it('is the application’s default when the connection has none, or is only proposed', async () => {
    const at = await scene(true);
    const connection = await lab.connect(at.from, at.to);
    await lab.changeConnection(connection, at.to, { terms: defaults(await lab.newWorkflow(at.to, kind)) });
    expect(await redeem(at)).toMatchObject({ workflow_id: at.to.workflows[kind] });
  });

  it('has to be named when there is no default', async () => {
    const at = await scene(false);
    expect(await refusalOf(redeem(at))).toMatchObject({ code: 'workflow_required', field: 'workflow_id' });
    expect(await redeem(at, { workflowId: at.to.workflows[kind] })).toMatchObject({
      workflow_id: at.to.workflows[kind],
    });
  });

  it('is the application’s own and of the session’s kind', async () => {
    const at = await scene(true);
    for (const workflowId of [at.from.workflows[kind], randomUUID(), 'not an id', '']) {
      expect(await refusalOf(redeem(at, { workflowId }))).toMatchObject({
        code: 'workflow_not_found',
        field: 'workflow_id',
      });
    }
    expect(await refusalOf(redeem(at, { workflowId: at.to.workflows[other] }))).toMatchObject({
      code: 'workflow_kind_mismatch',
      field: 'workflow_id',
    });
  });
});

describe('the onboarding of an import', () => {
  const signals = () => lab.wishes.filter(({ wish }) => wish === 'signal');
  const steps = async (tokenId: string) => {
    const rows = await lab.rows<{ step: string; result: string | null }>(
      'select step, result from onboarding_step where token_id = $1',
      [tokenId],
    );
    return Object.fromEntries(rows.map(({ step, result }) => [step, result]));
  };
  const eventsOf = (tokenId: string, brand: LabBrand) =>
    lab.rows(
      `select type, actor_kind, actor_id from event
       where token_id = $1 and application_id = $2 and type in ('status.updated', 'share.imported') order by 1`,
      [tokenId, brand.id],
    );

  it('ends with the partner’s own call, which its run is told of', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    lab.wishes.length = 0;
    const { sessionId } = await lab.redeem(tokenId);
    expect(signals()).toMatchObject([{ tokenId, signal: 'tokenRedeemed', subjectId: sessionId }]);
    expect(await steps(tokenId)).toMatchObject({ wait: 'redeemed', import: 'imported' });
  });

  it('is told of nothing where there is none', async () => {
    const { tokenId, to } = await minted();
    lab.wishes.length = 0;
    await lab.redeem(tokenId, {}, to);
    expect(signals()).toEqual([]);
  });

  it.each(['acknowledge', 'automatic'] as const)(
    'ends with its run’s import, by %s, of which both are told',
    async (acceptance) => {
      const [from, to] = [await lab.newBrand(), await lab.newBrand()];
      await lab.connect(from, to, { acceptance });
      const tokenId = await lab.start(await lab.takeIn(userDocument(), from), { from, to });
      if (acceptance === 'acknowledge') await lab.acknowledge(tokenId, { by: to });
      lab.wishes.length = 0;
      const answer = await lab.runImport(tokenId);
      expect(answer.state).toBe('redeemed');
      expect(signals()).toEqual([]);
      expect(await steps(tokenId)).toMatchObject({ import: 'imported' });
      expect(await steps(tokenId)).not.toMatchObject({ wait: 'redeemed' });
      const by = { actor_kind: 'onboarding', actor_id: tokenId };
      expect(await eventsOf(tokenId, from)).toEqual([{ type: 'share.imported', ...by }]);
      const told = acceptance === 'automatic' ? [{ type: 'share.imported', ...by }] : [];
      expect(await eventsOf(tokenId, to)).toEqual([...told, { type: 'status.updated', ...by }]);
    },
  );

  it('is refused the import of a pair that has one, with the import that is there', async () => {
    const scene = await minted();
    const tokenId = await lab.start(scene.source, scene);
    await lab.acknowledge(tokenId, { by: scene.to });
    const { sessionId } = await lab.redeem(scene.tokenId, {}, scene.to);
    expect(await refusalOf(lab.runImport(tokenId))).toMatchObject({
      code: 'already_imported',
      extra: { existing_session_id: sessionId },
    });
  });

  it('has to be there for a run, which imports no token of another way', async () => {
    expect((await refusalOf(lab.runImport(randomUUID()))).code).toBe('unknown_onboarding');
    const { tokenId } = await minted();
    expect(await lab.runImport(tokenId)).toMatchObject({ state: 'open' });
  });
});

it('an import and its people are found by what is theirs, as sessions that the partner took in itself', async () => {
  const [from, to] = [await lab.newBrand(), await lab.newBrand()];
  const termsOf = async (sessionId: string | undefined) => {
    const rows = await lab.rows<{ term: string }>(
      `select encode(term, 'hex') as term from session_search where session_id = $1 and application_id = $2 order by 1`,
      [sessionId, to.id],
    );
    return rows.map(({ term }) => term);
  };
  const person = await lab.takeIn(userDocument(), from);
  const source = await lab.takeIn(businessDocument([person]), from);
  const { sessionId } = await lab.redeem((await lab.mint(source, { from, to })).tokenId, {}, to);
  const [clone] = await lab.rows<{ id: string }>('select session_id as id from session where parent_import = $1', [
    sessionId,
  ]);
  const [own, ownPerson] = [await lab.takeIn(businessDocument(), to), await lab.takeIn(userDocument(), to)];
  expect(await termsOf(sessionId)).toEqual(await termsOf(own));
  expect(await termsOf(clone?.id)).toEqual(await termsOf(ownPerson));
  expect((await termsOf(own)).length).toBeGreaterThan(0);
  expect(await termsOf(own)).not.toEqual(await termsOf(ownPerson));
});
