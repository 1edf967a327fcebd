import { setTimeout as pause } from 'node:timers/promises';
import { Pool } from 'pg';
import { brandsOf, type Brand, type Brands } from '../../test/support/brands.ts';
import { startScriptedPartner } from '../../test/support/scripted-partner.ts';
import { startServerProcess, startWorkerProcess, type OwnProcess } from '../../test/support/worker-process.ts';
import { environment, type Lab } from '../../torture/lab.ts';
import { same, type Part, type Row } from '../../torture/part.ts';
import { inLab } from './in-lab.ts';
import { clientOf, type LabServer } from './lab-stack.ts';
import { restorablePostgres, restorableTemporal, type Restorable } from './restorable.ts';

/** Runs that nobody tells anything end with their token. */
const TTL_SECONDS = 60;
const PATIENCE_MS = 120_000;

const UNTOUCHED = 'open before the backup';
/** What happened to onboardings before and after the backup, up to the loss. */
const STORIES = {
  [UNTOUCHED]: { before: true, importedAfter: false },
  'open before the backup, imported after it': { before: true, importedAfter: true },
  'opened after the backup': { before: false, importedAfter: false },
  'opened and imported after the backup': { before: false, importedAfter: true },
} as const;
type Story = keyof typeof STORIES;
const NAMES = Object.keys(STORIES) as Story[];

/** Our processes on servers that can be put back. */
interface Scene {
  readonly brands: Brands;
  readonly issuer: Brand;
  readonly partner: Brand;
  readonly pool: Pool;
  readonly runState: (tokenId: string) => Promise<string>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const older = (what: 'the database' | 'Temporal'): Part => ({
  name: what === 'the database' ? 'old-database' : 'old-temporal',
  shows: `${what}, restored from a backup, and the other as it was`,
  run: async (lab) => {
    const postgres = await restorablePostgres(lab);
    const temporal = await restorableTemporal(lab);
    const scene = await openScene(lab, postgres, temporal);
    const tokens = new Map<Story, string[]>(NAMES.map((name) => [name, []]));
    const count = lab.quick ? 2 : 20;
    const openAll = async (before: boolean) => {
      for (const name of NAMES.filter((one) => STORIES[one].before === before)) {
        for (let nth = 0; nth < count; nth += 1) tokens.get(name)?.push(await openOne(scene));
      }
    };

    await openAll(true);
    await scene.stop();
    lab.say(`F25: keeps ${what}`);
    const restored = what === 'the database' ? postgres : temporal;
    await restored.keep();
    await scene.start();
    await openAll(false);
    const imported = NAMES.filter((name) => STORIES[name].importedAfter).flatMap((name) => tokens.get(name) ?? []);
    for (const tokenId of imported) await scene.brands.acknowledge(scene.partner, tokenId);
    await until('imports', async () => (await importsOf(scene, imported)) === imported.length);
    await scene.stop();
    lab.say(`F25: puts ${what} back`);
    await restored.putBack();
    await scene.start();
    // A partner that is not sure says it again.
    const all = NAMES.flatMap((name) => tokens.get(name) ?? []);
    for (const tokenId of all) await scene.brands.acknowledge(scene.partner, tokenId);
    lab.say('F25: waits until every run and every row has ended');
    const open = await settled(scene, all);
    const fates = NAMES.map((name) => {
      // An old Temporal has lost nothing that the database does not know; an old database, all that came after.
      const kept = what === 'Temporal' || name === UNTOUCHED;
      return fate(scene, { name, ids: tokens.get(name) ?? [], kept });
    });
    return [...(await invariants(scene, all)), ...open, ...(await Promise.all(fates))];
  },
});

/** Backups that are put back: one store is older than the other then. */
export const restoredBackups = inLab(
  { id: 'F25', what: 'the database or Temporal restored from a backup: nothing imported twice, nothing stuck' },
  older('the database'),
  older('Temporal'),
);

async function openScene(lab: Lab, postgres: Restorable, temporal: Restorable): Promise<Scene> {
  const pool = new Pool({ connectionString: postgres.address, max: 2 });
  // Its server is stopped under it.
  pool.on('error', () => undefined);
  lab.onEnd(() => pool.end());
  const more = { TEMPORAL_ADDRESS: temporal.address, LOG_LEVEL: 'warn' };
  const env = environment(lab, { url: postgres.address, pool }, more);
  const receiver = await startScriptedPartner();
  lab.onEnd(() => receiver.stop());
  let server: LabServer | undefined;
  let workers: OwnProcess[] = [];
  const start = async () => {
    server = await startServerProcess(env);
    // One by one: what has started is ended, also when the next does not.
    for (const role of ['onboarding', 'webhooks'] as const) workers.push(await startWorkerProcess(role, env));
  };
  const stop = async () => {
    const all = server === undefined ? workers : [server, ...workers];
    [server, workers] = [undefined, []];
    await Promise.all(all.map((each) => each.stop()));
  };
  lab.onEnd(stop);
  await start();
  const brands = brandsOf({ databaseUrl: postgres.address, apiUrl: () => server?.url ?? '', receiver });
  const client = clientOf(lab, temporal.address);
  const runState = (tokenId: string) => client.describeOnboarding(tokenId);
  return { brands, issuer: await brands.add(), partner: await brands.add(), pool, runState, start, stop };
}

/** An onboarding that waits for the partner's word. */
async function openOne({ brands, issuer, partner }: Scene): Promise<string> {
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'), TTL_SECONDS);
  await until('the delivery', async () => (await brands.read(partner, tokenId))['status'] === 'waiting');
  return tokenId;
}

async function invariants({ pool }: Scene, tokenIds: readonly string[]): Promise<Row[]> {
  const { rows } = await pool.query<{ twice: number; living: number; apart: number }>(
    `select
       (select count(*)::int from (select token_id from session_provenance where token_id = any ($1)
          group by token_id having count(distinct session_id) > 1) t) as twice,
       (select count(*)::int from (select 1 from redemption where released_at is null
          group by source_session_id, partner_id having count(*) > 1) r) as living,
       (select count(*)::int from redemption r where r.token_id = any ($1) and not exists (
          select 1 from session_provenance p where p.token_id = r.token_id and p.session_id = r.session_id)) as apart`,
    [tokenIds],
  );
  return [
    same('tokens that were imported twice', rows[0]?.twice ?? Number.NaN, 0),
    same('sources with two living imports for one partner', rows[0]?.living ?? Number.NaN, 0),
    same('redemptions without their session', rows[0]?.apart ?? Number.NaN, 0),
  ];
}

/** Waits until nothing is open any more, for two minutes at most. */
async function settled(scene: Scene, tokenIds: readonly string[]): Promise<Row[]> {
  for (const deadline = Date.now() + PATIENCE_MS; ; await pause(500)) {
    const [runs, rows] = await Promise.all([running(scene, tokenIds), openRows(scene)]);
    if (runs + rows > 0 && Date.now() < deadline) continue;
    return [same('runs that never ended', runs, 0), same('rows that never ended', rows, 0)];
  }
}

/** What became of the onboardings of one story. @param kept whether nothing of it was lost: each must be imported then */
async function fate(
  { pool, runState }: Scene,
  { name, ids, kept }: { readonly name: Story; readonly ids: readonly string[]; readonly kept: boolean },
): Promise<Row> {
  const { rows } = await pool.query<{ id: string; status: string; said: string }>(
    `select token_id as id, status, status || coalesce(' (' || reason || ')', '') as said from onboarding
     where token_id = any ($1)`,
    [ids],
  );
  const said = new Map(rows.map((row) => [row.id, row.said]));
  const fates = await Promise.all(ids.map(async (id) => `${said.get(id) ?? 'no row'}, its run ${await runState(id)}`));
  const each = [...new Set(fates)].map((one) => `${fates.filter((other) => other === one).length} × ${one}`);
  const imported = rows.filter(({ status }) => status === 'imported').length;
  return {
    what: `onboardings ${name}`,
    expected: kept ? `${ids.length} × imported` : 'measured',
    seen: each.join('; '),
    ok: !kept || imported === ids.length,
  };
}

async function importsOf({ pool }: Scene, tokenIds: readonly string[]): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    'select count(*)::int as count from onboarding where token_id = any ($1) and imported_session_id is not null',
    [tokenIds],
  );
  return rows[0]?.count ?? 0;
}

async function openRows({ pool }: Scene): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    'select count(*)::int as count from onboarding where ended_at is null',
  );
  return rows[0]?.count ?? Number.NaN;
}

async function running({ runState }: Scene, tokenIds: readonly string[]): Promise<number> {
  const states = await Promise.all(tokenIds.map(runState));
  return states.filter((state) => state === 'running').length;
}

/** @throws Error after two minutes */
async function until(what: string, there: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await there())) {
    if (Date.now() > deadline) throw new Error(`${what}: not there after ${PATIENCE_MS / 1_000} s`);
    await pause(200);
  }
}
