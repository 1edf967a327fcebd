import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Refusal } from '../../src/domain/failures.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { businessDocument, deadlocksOf, shareLab, userDocument, verbs, type LabBrand } from '../support/share-lab.ts';
import { shareSeen } from '../support/share-seen.ts';
import { unexplained, type Op } from '../support/some-order.ts';

/** Rounds of each race: `RACE_ROUNDS`. */
const ROUNDS = Number(process.env['RACE_ROUNDS'] ?? 40);

const lab = shareLab();
// Two pools on one database: the ops of a race come from different processes.
const pools: Tenants[] = [];
let here: ReturnType<typeof verbs>;
let there: ReturnType<typeof verbs>;
beforeAll(() => {
  pools.push(createTenants({ databaseUrl: lab.database.url }), createTenants({ databaseUrl: lab.database.url }));
  const [first, second] = pools.map((tenants) => verbs(tenants, lab));
  if (first === undefined || second === undefined) throw new Error('two pools');
  [here, there] = [first, second];
});
afterEach(() => resetClock(lab.database.pool));
afterAll(() => Promise.all(pools.map((pool) => pool.close())));

interface Scene {
  /** The pair that this scene plays between; new ones when a connection is part of it. */
  readonly issuer: LabBrand;
  readonly partner: LabBrand;
  readonly sourceId: string;
  readonly tokenId: string;
  readonly people: readonly string[];
  readonly connectionId: string | null;
}

interface Props {
  readonly plain?: boolean;
  readonly acknowledged?: boolean;
  readonly minting?: boolean;
  readonly people?: number;
  readonly connected?: boolean;
  readonly acceptance?: 'acknowledge' | 'automatic' | 'redeem';
}

/** Sets a fresh scene; the clock is put right first. */
function scene(props: Props = {}): () => Promise<Scene> {
  return async () => {
    await resetClock(lab.database.pool);
    const [issuer, partner] = props.connected
      ? [await lab.newBrand(), await lab.newBrand()]
      : [lab.issuer, lab.partner];
    const order = { from: issuer, to: partner };
    const connectionId =
      props.connected === true
        ? await lab.connect(issuer, partner, { acceptance: props.acceptance ?? 'acknowledge' })
        : null;
    const people: string[] = [];
    for (let n = 0; n < (props.people ?? 0); n += 1) people.push(await lab.takeIn(userDocument(), issuer));
    const sourceId = await lab.takeIn(people.length === 0 ? userDocument() : businessDocument(people), issuer);
    const tokenId = await makeToken(props, sourceId, order);
    if (props.acknowledged) await lab.acknowledge(tokenId, { by: partner, trustReview: true });
    return { issuer, partner, sourceId, tokenId, people, connectionId };
  };
}

async function makeToken(props: Props, sourceId: string, order: { from: LabBrand; to: LabBrand }): Promise<string> {
  if (props.plain) return (await lab.mint(sourceId, order)).tokenId;
  return props.minting ? lab.open(sourceId, order) : lab.start(sourceId, order);
}

const ownImport: Op<Scene> = ({ tokenId, partner }) => here.redeem(tokenId, { trustReview: true }, partner);
const runImport: Op<Scene> = ({ tokenId }) => there.runImport(tokenId);
const accept: Op<Scene> = ({ tokenId, partner }) => there.acknowledge(tokenId, { by: partner });
const refuse: Op<Scene> = ({ tokenId, partner }) => there.acknowledge(tokenId, { accept: false, by: partner });
const revoke: Op<Scene> = ({ tokenId, issuer }) => there.revoke(tokenId, issuer);
const timePasses: Op<Scene> = () => shiftClock(lab.database.pool, '2 hours');
const closeExpired: Op<Scene> = ({ tokenId }) => there.close(tokenId, { as: 'expired' });
const deleteSource: Op<Scene> = ({ issuer, sourceId }) => there.remove(issuer, sourceId);
const deletePerson: Op<Scene> = ({ issuer, people }) => there.remove(issuer, people[0] ?? '');
const suspend: Op<Scene> = ({ connectionId, issuer }) =>
  there.changeConnection(connectionId ?? '', issuer, { suspended: true });

/** Races the ops, and holds every round against all their orders. */
async function expectSomeOrder(props: Props, ops: Record<string, Op<Scene>>, rounds = ROUNDS): Promise<void> {
  const race = { scene: scene(props), ops, seen: (of: Scene) => shareSeen(lab, of) };
  const strange = await unexplained(race, rounds);
  // What no order may break, no race may either.
  for (const { seen } of strange.orders) expect(seen).toMatchObject({ broken: [] });
  expect(strange.rounds, `orders that are possible: ${JSON.stringify(strange.orders, null, 1)}`).toEqual([]);
}

describe('an import racing', () => {
  it.each<[string, Props, Record<string, Op<Scene>>]>([
    ['a revocation', {}, { ownImport, revoke }],
    ['a revocation, for an acknowledged token', { acknowledged: true }, { runImport, revoke }],
    ['a revocation, in automatic mode', { connected: true, acceptance: 'automatic' }, { runImport, revoke }],
    ["the run's own import", { acknowledged: true }, { ownImport, runImport }],
    ['an acknowledgement', {}, { ownImport, accept }],
    ['an acknowledgement and its import', {}, { ownImport, accept, runImport }],
    ['a refusal', {}, { ownImport, refuse }],
    ['a withdrawal', { acknowledged: true }, { runImport, refuse }],
    ['a suspension of the connection', { connected: true }, { ownImport, suspend }],
    ["a suspension, for the run's import", { connected: true, acceptance: 'automatic' }, { runImport, suspend }],
    ['deletion of the source', {}, { ownImport, deleteSource }],
    ['deletion of the source, by a plain token', { plain: true }, { ownImport, deleteSource }],
    ['deletion of the source, for an acknowledged token', { acknowledged: true }, { runImport, deleteSource }],
    ['deletion of a person of the business', { people: 2 }, { ownImport, deletePerson }],
    ['deletion of the business and of a person', { people: 2 }, { ownImport, deleteSource, deletePerson }],
    [
      'a close as undeliverable',
      {},
      { ownImport, close: ({ tokenId }) => there.close(tokenId, { as: 'undeliverable', reason: 'gone' }) },
    ],
    [
      'a close as rejected, which wins over an acknowledgement',
      { acknowledged: true },
      { runImport, close: ({ tokenId }) => there.close(tokenId, { as: 'rejected', reason: 'source_session_gone' }) },
    ],
    [
      'a close as revoked and a revocation',
      {},
      { ownImport, revoke, close: ({ tokenId }) => here.close(tokenId, { as: 'revoked', reason: 'run_terminated' }) },
    ],
  ])('%s', (_name, props, ops) => expectSomeOrder(props, ops));
});

describe('expiry racing', () => {
  it.each<[string, Props, Record<string, Op<Scene>>]>([
    ["the partner's own import", {}, { ownImport, timePasses, closeExpired }],
    ["the partner's own import, by a plain token", { plain: true }, { ownImport, timePasses }],
    ['an acknowledgement', {}, { accept, timePasses, closeExpired }],
    ['an acknowledged import', { acknowledged: true }, { runImport, timePasses, closeExpired }],
    ['an automatic import', { connected: true, acceptance: 'automatic' }, { runImport, timePasses, closeExpired }],
    ['a revocation', {}, { revoke, timePasses, closeExpired }],
  ])('%s', (_name, props, ops) => expectSomeOrder(props, ops, ROUNDS / 2));

  it('never takes an acknowledged token from its run', async () => {
    const race = {
      scene: scene({ acknowledged: true }),
      ops: { runImport, timePasses, closeExpired },
      seen: async ({ tokenId }: Scene) => (await lab.look(tokenId)).state,
    };
    const { orders } = await unexplained(race, 0);
    expect(new Set(orders.map(({ seen }) => seen))).toEqual(new Set(['redeemed']));
  });
});

describe('a mint racing', () => {
  const mint: Op<Scene> = ({ tokenId }) => here.runMint(tokenId);

  it.each<[string, Record<string, Op<Scene>>]>([
    ['a revocation', { mint, revoke }],
    ['itself', { mint, again: ({ tokenId }) => there.runMint(tokenId) }],
    ['deletion of the session', { mint, deleteSource }],
    ['an acknowledgement', { mint, accept }],
  ])('%s', (_name, ops) => expectSomeOrder({ minting: true }, ops));
});

it('deletion of an import races a second token for the pair', async () => {
  type PairScene = Scene & { readonly importedId: string };
  const race = {
    scene: async (): Promise<PairScene> => {
      const first = await scene()();
      const imported = await lab.redeem(first.tokenId);
      const second = await lab.start(first.sourceId);
      return { ...first, tokenId: second, importedId: imported.sessionId };
    },
    ops: {
      importAgain: ({ tokenId }: PairScene) => here.redeem(tokenId),
      deleteImport: ({ importedId }: PairScene) => there.remove(lab.partner, importedId),
    },
    seen: (of: PairScene) => shareSeen(lab, of),
  };
  const strange = await unexplained(race, ROUNDS);
  expect(strange.orders).toMatchObject([{ seen: { broken: [] } }, { seen: { broken: [] } }]);
  expect(strange.rounds).toEqual([]);
});

it('a crowd on the same two brands breaks no rule, and the counters count', async () => {
  const [issuer, partner] = [await lab.newBrand(), await lab.newBrand()];
  const order = { from: issuer, to: partner };
  await lab.connect(issuer, partner, { vendorDataRule: 'same' });
  const people = await Promise.all(
    Array.from({ length: 5 }, (_, index) => lab.takeIn(userDocument({ vendor_data: `person-${index}` }), issuer)),
  );
  const tokens: string[] = [];
  const imports: string[] = [];
  const some = <T>(list: readonly T[]): T => {
    const one = list[Math.floor(Math.random() * list.length)];
    if (one === undefined) throw new Error('there is at least one');
    return one;
  };
  const company = () => {
    const officers = people.filter(() => Math.random() < 0.6).sort(() => Math.random() - 0.5);
    return businessDocument(officers, { vendor_data: `company-${Math.floor(Math.random() * 3)}` });
  };
  const side = () => some([here, there]);
  const actions: (() => Promise<unknown>)[] = [
    async () => tokens.push(await side().start(await side().takeIn(company(), issuer), order)),
    async () => tokens.push(await side().start(some(people), order)),
    async () => imports.push((await side().redeem(some(tokens.slice(-5)), {}, partner)).sessionId),
    async () => imports.push((await side().redeem(some(tokens), {}, partner)).sessionId),
    () => side().acknowledge(some(tokens.slice(-5)), { by: partner }),
    async () => {
      const answer = await side().runImport(some(tokens.slice(-5)));
      if (answer.state === 'redeemed') imports.push(answer.sessionId);
    },
    () => side().revoke(some(tokens.slice(-5)), issuer),
    () => side().close(some(tokens.slice(-5)), { as: 'undeliverable', reason: 'gone' }),
    () => side().remove(partner, some(imports.slice(-8))),
    () => side().takeIn(userDocument(), partner),
  ];
  for (let n = 0; n < 5; n += 1) tokens.push(await lab.start(await lab.takeIn(company(), issuer), order));
  imports.push((await lab.redeem(tokens[0] ?? '', {}, partner)).sessionId);

  let left = 500;
  const actor = async (): Promise<void> => {
    for (; left > 0; left -= 1) {
      await some(actions)().catch((error: unknown) => {
        if (!(error instanceof Refusal)) throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: 16 }, actor));

  const broken = await Promise.all(
    tokens.map(async (tokenId) => (await shareSeen(lab, { tokenId, issuer, partner })).broken),
  );
  expect(broken.flat()).toEqual([]);
  const counters = await lab.rows(
    `select c.application_id, c.session_kind, c.living::int as living,
       (select count(*)::int from session s
        where s.application_id = c.application_id and s.session_kind = c.session_kind) as counted
     from session_counter c where c.application_id = any ($1)`,
    [[issuer.id, partner.id]],
  );
  expect(counters).toHaveLength(4);
  for (const { living, counted } of counters) expect(living).toBe(counted);
});

it('none of it was a deadlock, and no connection was lost', async () => {
  for (const pool of pools.splice(0)) await pool.close();
  expect(await deadlocksOf(lab.database.url)).toBe(0);
});
