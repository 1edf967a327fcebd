import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createSealer, type Sealer } from '../../src/crypto/payload-seal.ts';
import { applicationStore } from '../../src/postgres/application-deletion.ts';
import { sealingAnew, treatColumn } from '../../src/postgres/rotation/rewrap-columns.ts';
import { SEALED_COLUMNS } from '../../src/postgres/rotation/sealed-columns.ts';
import { beginRotation, finishRotation, removeSigningKey, type KeyWork } from '../../src/postgres/signing-keys.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { revokeTokensOf } from '../../src/relay/signing-keys.ts';
import { deleteApplication } from '../../src/sharing/delete-application.ts';
import { testKey } from '../support/app-parts.ts';
import {
  businessDocument,
  deadlocksOf,
  KID,
  shareLab,
  type ShareLab,
  userDocument,
  verbs,
  type LabBrand,
} from '../support/share-lab.ts';
import { shareSeen, type ShareSeen } from '../support/share-seen.ts';
import { raceOnce, serialOutcomes, unexplained, type Op, type Outcome, type Race } from '../support/some-order.ts';

/** Rounds of each race: `RACE_ROUNDS`. */
const ROUNDS = Number(process.env['RACE_ROUNDS'] ?? 15);
const RANDOM_ROUNDS = 3 * ROUNDS;

const lab = shareLab();

// Two processes in the middle of a change of keys: each has the other's first key as its second.
const KEYS: Readonly<Record<string, number>> = { older: 0, newer: 1 };
const ring = (kids: readonly string[], offset: number) =>
  parseKeyRing(kids.map((kid) => `${kid}:${testKey(offset + (KEYS[kid] ?? 0))}`).join(','));
const sealerOf = (...kids: string[]): Sealer => createSealer({ content: ring(kids, 60), secrets: ring(kids, 70) });
const sealers = { here: sealerOf('older', 'newer'), there: sealerOf('newer', 'older') };
const pools: Tenants[] = [];
let here: ReturnType<typeof verbs>;
let there: ReturnType<typeof verbs>;
beforeAll(() => {
  const open = () => createTenants({ databaseUrl: lab.database.url });
  const [first, second] = [open(), open()];
  pools.push(first, second);
  [here, there] = [verbs(first, lab, sealers.here), verbs(second, lab, sealers.there)];
});
afterAll(() => Promise.all(pools.map((pool) => pool.close())));

interface Scene {
  readonly issuer: LabBrand;
  readonly partner: LabBrand;
  readonly organizationId: string;
  readonly connectionId: string;
  readonly sourceId: string;
  readonly personId: string;
  readonly tokenId: string;
}

type Sides = Pick<Scene, 'issuer' | 'partner' | 'organizationId' | 'connectionId'>;

/** Two new brands of one organization, connected. */
async function newSides(): Promise<Sides> {
  const [issuer, partner] = await Promise.all([here.newBrand(), here.newBrand()]);
  const organizationId = randomUUID();
  await lab.rows('insert into organization (organization_id, name) values ($1, $2)', [organizationId, 'Aurora']);
  await lab.rows('update application set organization_id = $1 where application_id = any ($2)', [
    organizationId,
    [issuer.id, partner.id],
  ]);
  return { issuer, partner, organizationId, connectionId: await here.connect(issuer, partner, {}) };
}

/** A company with one person, and its token; the lab's signing key signs again. */
async function newScene(sides: Sides): Promise<Scene> {
  await lab.rows('delete from signing_key where kid <> $1', [KID]);
  await lab.rows(
    `update signing_key set state = 'active', retired_at = null, removed_at = null, swept_at = null where kid = $1`,
    [KID],
  );
  const { issuer, partner } = sides;
  const personId = await here.takeIn(userDocument(), issuer);
  const sourceId = await here.takeIn(businessDocument([personId]), issuer);
  const tokenId = await here.start(sourceId, { from: issuer, to: partner });
  return { ...sides, sourceId, personId, tokenId };
}

let standing: Promise<Sides> | undefined;
/** Ops after which brands are of no more use. */
const ENDS_THEM = new Set(['suspend', 'deleteIssuer', 'deletePartner']);
const sceneFor = (ops: readonly string[]) => async () =>
  newScene(await (ops.some((name) => ENDS_THEM.has(name)) ? newSides() : (standing ??= newSides())));

const OPERATOR = { kind: 'system', id: 'olga' } as const;
const withKeys = <T>(work: (keys: KeyWork) => Promise<T>): Promise<T> =>
  there.handoff.acrossTenants('keys', (tx, sql) => work({ tx, sql, sealer: sealers.there, actor: OPERATOR }));
const removeApplication = (side: 'issuer' | 'partner') => (of: Scene) => {
  const ids = { applicationId: of[side].id, organizationId: of.organizationId };
  const actor = { kind: 'account', id: of.organizationId } as const;
  return there.handoff.withTenant(
    ids.applicationId,
    (tx, sql) => deleteApplication(tx, applicationStore(sql), ids, actor),
    'delete_application',
  );
};
/** Wraps the data keys that an import touches anew, with the key that is the first of this process. */
const rewrapWith = (process: 'here' | 'there') => async () => {
  const tenants = pools[process === 'here' ? 0 : 1];
  if (tenants === undefined) throw new Error('both pools are open');
  for (const column of SEALED_COLUMNS.filter(({ ring: its }) => its === 'CONTENT_ENCRYPTION_KEYS').slice(0, 2)) {
    const anew = sealingAnew(sealers[process], column);
    const { unreadable } = await treatColumn({ tenants, crossing: 'keys' }, column, anew);
    expect(unreadable.rows).toBe(0);
  }
};

const ownImport: Op<Scene> = ({ tokenId, partner }) => here.redeem(tokenId, { trustReview: true }, partner);
const OPS: Readonly<Record<string, Op<Scene>>> = {
  revoke: ({ tokenId, issuer }) => there.revoke(tokenId, issuer),
  deleteSource: ({ issuer, sourceId }) => there.remove(issuer, sourceId),
  deletePerson: ({ issuer, personId }) => there.remove(issuer, personId),
  suspend: ({ connectionId, issuer }) => there.changeConnection(connectionId, issuer, { suspended: true }),
  deleteIssuer: removeApplication('issuer'),
  deletePartner: removeApplication('partner'),
  removeKey: async () => {
    await withKeys((work) => removeSigningKey(work, KID));
    // Some at a time: tokens of earlier rounds are open, too.
    while ((await revokeTokensOf(KID, there.handoff)) > 0);
  },
  rotateKey: async () => {
    const { kid } = await withKeys(beginRotation);
    await withKeys((work) => finishRotation(work, kid));
  },
  rewrap: rewrapWith('there'),
  rewrapBack: rewrapWith('here'),
};

/** What a share left, with what can be read of it, and every key that it left. */
async function seen(of: Scene): Promise<ShareSeen & { readonly contents: unknown; readonly keysOfToken: unknown }> {
  const contents = await contentsOf(of);
  const rows: ShareLab['rows'] = (text, values) => lab.rows(text, values);
  const share = await shareSeen({ rows, redeem: (...call) => there.redeem(...call) }, of);
  const [keys] = await lab.rows('select count(*)::int as count from token_key where token_id = $1', [of.tokenId]);
  return { ...share, contents, keysOfToken: keys?.['count'] };
}

/** How many sessions of a share each side has. Both processes open the content of every one of them. */
async function contentsOf({ issuer, partner, sourceId, personId, tokenId }: Scene) {
  const sessions = await lab.rows<{ id: string; owner: string }>(
    `select session_id as id, application_id as owner from session where session_id = any ($1)
       or session_id in (select session_id from session_provenance where token_id = $2)`,
    [[sourceId, personId], tokenId],
  );
  for (const { id, owner } of sessions) {
    const brand = owner === issuer.id ? issuer : partner;
    const [one, other] = await Promise.all([here.decision(brand, id), there.decision(brand, id)]);
    expect(one).not.toBeNull();
    expect(other).toEqual(one);
  }
  const of = ({ id }: LabBrand) => sessions.filter(({ owner }) => owner === id).length;
  return { issuer: of(issuer), partner: of(partner) };
}

const race = (ops: Readonly<Record<string, Op<Scene>>>): Race<Scene> => ({
  scene: sceneFor(Object.keys(ops)),
  ops,
  seen,
});
const rulesHold = (outcomes: readonly Outcome[]) => {
  for (const { answers, seen: left } of outcomes) {
    const { broken, imports, token } = left as ShareSeen;
    expect(broken).toEqual([]);
    // Imported or refused, and nothing of an import where it was refused.
    const imported = answers['ownImport'] === 'done';
    if (!imported) expect({ answers, token, imports }).toMatchObject({ imports: [] });
  }
};

describe('an import racing', () => {
  it.each(Object.keys(OPS))('%s has an outcome that some order explains', async (name) => {
    const op = OPS[name];
    if (op === undefined) throw new Error('it is listed');
    const { orders, rounds } = await unexplained(race({ ownImport, [name]: op }), ROUNDS);
    rulesHold(orders);
    expect(rounds, `orders that are possible: ${JSON.stringify(orders, null, 1)}`).toEqual([]);
  });

  it('any two of them, at random', async () => {
    const known = new Map<string, readonly Outcome[]>();
    const names = Object.keys(OPS);
    const step = 1 + Math.floor(Math.random() * (names.length - 1));
    for (let round = 0; round < RANDOM_ROUNDS; round += 1) {
      // The same pairs come again and again, so that their orders need not be played anew.
      const first = Math.floor(Math.random() * names.length);
      const pair = [names[first], names[(first + step) % names.length]].map(String).toSorted();
      const ops = { ownImport, ...Object.fromEntries(pair.map((name) => [name, OPS[name] as Op<Scene>])) };
      const orders = known.get(pair.join()) ?? (await serialOutcomes(race(ops)));
      known.set(pair.join(), orders);
      rulesHold(orders);
      const outcome = await raceOnce(race(ops), 12);
      const explained = orders.some((order) => isDeepStrictEqual(order, outcome));
      expect(explained, `${JSON.stringify(outcome, null, 1)} is none of ${JSON.stringify(orders, null, 1)}`).toBe(true);
    }
  });
});

it('a run’s import by an acknowledged token survives whatever is done to keys', async () => {
  for (let round = 0; round < ROUNDS / 2; round += 1) {
    const of = await sceneFor([])();
    await there.acknowledge(of.tokenId, { by: of.partner });
    const [answer] = await Promise.all([
      here.runImport(of.tokenId),
      OPS['rewrap']?.(of),
      OPS['rotateKey']?.(of),
      OPS['rewrapBack']?.(of),
    ]);
    expect(answer).toMatchObject({ state: 'redeemed' });
    expect(await contentsOf(of)).toEqual({ issuer: 2, partner: 2 });
  }
});

it('none of it was a deadlock', async () => {
  for (const pool of pools.splice(0)) await pool.close();
  expect(await deadlocksOf(lab.database.url)).toBe(0);
});
