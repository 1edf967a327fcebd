import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { startBareWorkflows, type BareWorkflows } from '../../bench/bare-workflow/bare.ts';
import { startDbosStack, type DbosStack } from '../../bench/dbos/stack.ts';
import { compile, withLab, type Lab, type LabDatabase, type Program, type Servers } from '../../bench/lab.ts';
import { measureOnboardingsBesideStored } from '../../bench/growth/onboardings-beside-stored.ts';
import { startOnboardingStack, type OnboardingStack } from '../../bench/onboarding/stack.ts';
import { measureOnboardings } from '../../bench/parts/onboarding.ts';
import { measureRecovery } from '../../bench/parts/recovery.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-bench-test-'));
chmodSync(folder, 0o711);

/** Servers of the test run, which nobody here may stop. */
const servers: Servers = {
  postgres: () => Promise.resolve({ ...NOBODY, port: 0, url: urlOf }),
  template: () => Promise.resolve(inject('templateDatabase')),
  temporal: () => Promise.resolve({ ...NOBODY, address: inject('temporalAddress'), uiUrl: undefined }),
  program: () => (program ??= compile(folder)),
};
let program: Promise<Program> | undefined;
const NOBODY = { pid: 0, ended: new Promise<string>(() => {}), stop: () => Promise.resolve() };

function urlOf(database: string): string {
  const url = new URL(inject('postgresAdminUrl'));
  url.pathname = database;
  return url.href;
}

let lab: Lab;
let stack: OnboardingStack;
let bare: BareWorkflows;
let dbos: DbosStack;
let end: () => void;
let ended: Promise<void>;

beforeAll(async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  end = resolve;
  const opened = Promise.withResolvers<void>();
  ended = withLab({ quick: true, rounds: 1, scale: 0.05, servers, folder, say: () => {} }, async (given) => {
    lab = given;
    stack = await startOnboardingStack(lab);
    bare = await startBareWorkflows(lab, stack.temporal);
    dbos = await startDbosStack(lab);
    opened.resolve();
    await promise;
  });
  await Promise.race([opened.promise, ended]);
});

afterAll(async () => {
  end();
  await ended;
  rmSync(folder, { recursive: true, force: true });
});

/** Onboardings of a database that were imported and told of. */
const imported = (database: LabDatabase) =>
  rowsOf(
    database,
    `onboarding o join onboarding_step s using (token_id)
    where o.status = 'imported' and s.step = 'notify' and s.finished_at is not null`,
  );

async function rowsOf({ pool }: LabDatabase, table: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(`select count(*)::int as count from ${table}`);
  return rows[0]?.count ?? 0;
}

test('the onboardings that are measured are imported, each once, and both sides are told by webhooks', async () => {
  const findings = await measureOnboardings(lab, stack, { bare, dbos });
  expect(Object.keys(findings.ratios)).toEqual([
    'onboarding_vs_bare',
    'automatic_vs_bare',
    'onboarding_latency_vs_bare',
    'onboarding_vs_dbos',
  ]);
  for (const number of Object.values(findings.ratios).flat()) expect(number).toBeGreaterThan(0);
  const { figures } = findings;
  for (const name of ['postgres', 'temporal', 'server', 'onboardingWorker', 'webhooksWorker', 'load']) {
    expect(figures[`onboarding_${name}CpuMs`], name).toHaveLength(1);
  }
  // Nobody here knows the servers' process ids.
  for (const name of ['onboardingWorker', 'webhooksWorker', 'load']) {
    expect(figures[`onboarding_${name}CpuMs`]?.[0], name).toBeGreaterThan(0);
  }
  // Both ways: two at first, four at a time; and one alone.
  const made = 2 + 2 + 4 + 4 + 1;
  expect(await imported(stack.database)).toBe(made);
  expect(await rowsOf(stack.database, 'redemption')).toBe(await rowsOf(stack.database, 'onboarding'));
  const told = `event e join delivery d on d.event_id = e.event_id and d.state in ('delivered', 'pending')
    where e.type = 'share.imported'`;
  expect(await rowsOf(stack.database, told)).toBe(2 * made);
  // On DBOS the same comes about.
  expect(await imported(dbos.database)).toBe(2 + 4);
  expect(await rowsOf(dbos.database, 'onboarding')).toBe(2 + 4);
  const steps = `onboarding_step where step in ('mint', 'deliver', 'wait', 'import', 'notify') and finished_at is not null`;
  expect(await rowsOf(dbos.database, steps)).toBe(5 * (2 + 4));
});

test('onboardings whose worker was killed get on, and all of them end', async () => {
  const before = await imported(stack.database);
  // Enough of them that some are under way at any moment.
  const scale = 0.5;
  const { ratios, figures } = await measureRecovery({ ...lab, scale }, stack);
  for (const situation of ['another', 'only', 'webhooks']) {
    expect(figures[`recovery_${situation}_underWay`]?.[0], situation).toBeGreaterThan(0);
  }
  // What a killed sender had under way is leased for 20 s.
  expect(figures['recovery_webhooks_maxS']?.[0]).toBeGreaterThan(15);
  const slowest = ['another', 'only', 'webhooks'].map((situation) => figures[`recovery_${situation}_maxS`]?.[0] ?? 0);
  expect(ratios['recovery_seconds']).toEqual([Math.max(...slowest)]);
  expect((await imported(stack.database)) - before).toBeGreaterThanOrEqual(Math.round(50 * scale));
}, 180_000);

test('onboardings of an issuer with many sessions share any of them', async () => {
  const { ratios, figures } = await measureOnboardingsBesideStored({ ...lab, scale: 0.02 });
  expect(Object.keys(ratios)).toEqual(['growth_onboarding_stored']);
  expect(Object.keys(figures)).toEqual(['onboarding_at_20_stored_p50Ms', 'onboarding_at_2000_stored_p50Ms']);
  for (const number of [...Object.values(ratios), ...Object.values(figures)].flat()) expect(number).toBeGreaterThan(0);
});

test('an onboarding that does not come about is no measurement', async () => {
  const [order] = await stack.orders('acknowledge', 1);
  if (order === undefined) throw new Error('an order was made');
  const onboarded = await stack.onboard([order], 1);
  await stack.settled(onboarded);
  // The same session again, to the same partner.
  await expect(stack.onboard([order], 1)).rejects.toThrow('already_imported');
  const { rowCount } = await stack.database.pool.query(
    `update onboarding_step set finished_at = null where step = 'notify' and token_id = any ($1::uuid[])`,
    [onboarded.tokenIds],
  );
  expect(rowCount).toBe(1);
  await expect(stack.settled(onboarded)).rejects.toThrow('0 of 1 onboardings');
});

test('backends refuse what their secret did not sign', async () => {
  const [order] = await stack.orders('automatic', 1);
  if (order === undefined) throw new Error('an order was made');
  const url = stack.counterparts.urlOf(order.partner);
  for (const headers of [{}, { 'x-signature': 'no hex' }, { 'x-signature': '0'.repeat(64) }]) {
    expect((await fetch(url, { method: 'POST', body: '{}', headers })).status).toBe(400);
  }
});
