import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { startBareWorkflows, type BareWorkflows } from '../../bench/bare-workflow/bare.ts';
import { startDbosStack, type DbosStack } from '../../bench/dbos/stack.ts';
import type { Findings } from '../../bench/frame.ts';
import { withLab, type Lab, type LabDatabase, type Servers } from '../../bench/lab.ts';
import { importedAndTold, startOnboardingStack, type OnboardingStack } from '../../bench/onboarding/stack.ts';
import { measureDbos } from '../../bench/parts/dbos.ts';
import { measureOnboarding } from '../../bench/parts/onboarding.ts';
import { measureRecovery } from '../../bench/parts/recovery.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-bench-test-'));
chmodSync(folder, 0o711);

/** Servers of the test run, which nobody here may stop. */
const servers: Servers = {
  postgres: () => Promise.resolve({ ...NOBODY, port: 0, url: urlOf }),
  temporal: () => Promise.resolve({ ...NOBODY, address: inject('temporalAddress'), uiUrl: undefined }),
};
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
  ended = withLab({ quick: true, rounds: 1, scale: 0.04, servers, folder, say: () => {} }, async (given) => {
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

/** Every measured number. */
const numbersOf = ({ ratios, figures }: Findings) => [...Object.values(ratios), ...Object.values(figures)].flat();

async function rowsOf({ pool }: LabDatabase, table: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(`select count(*)::int as count from ${table}`);
  return rows[0]?.count ?? 0;
}

test('the onboardings that are measured are imported, each once, and both sides are told by webhooks', async () => {
  const before = await importedAndTold(stack.database);
  const findings = await measureOnboarding(lab, stack, bare);
  expect(Object.keys(findings.ratios)).toEqual([
    'onboarding_vs_bare',
    'automatic_vs_bare',
    'onboarding_latency_vs_bare',
  ]);
  for (const number of Object.values(findings.ratios).flat()) expect(number).toBeGreaterThan(0);
  // Both ways: four at first, eight at a time, one alone.
  const made = (await importedAndTold(stack.database)) - before;
  expect(made).toBe(4 + 4 + 8 + 8 + 1);
  expect(await rowsOf(stack.database, 'redemption')).toBe(await rowsOf(stack.database, 'onboarding'));
  const told = `event e join delivery d on d.event_id = e.event_id and d.state in ('delivered', 'pending')
    where e.type = 'share.imported'`;
  expect(await rowsOf(stack.database, told)).toBe(2 * made);
});

test('on DBOS the same comes about', async () => {
  const findings = await measureDbos(lab, { onboarding: stack, dbos });
  for (const number of numbersOf(findings)) expect(number).toBeGreaterThan(0);
  expect(await importedAndTold(dbos.database)).toBe(4 + 6);
  expect(await rowsOf(dbos.database, 'onboarding')).toBe(10);
  const steps = `onboarding_step where step in ('mint', 'deliver', 'wait', 'import', 'notify') and finished_at is not null`;
  expect(await rowsOf(dbos.database, steps)).toBe(5 * 10);
});

test('onboardings whose worker was killed get on, and all of them end', async () => {
  const before = await importedAndTold(stack.database);
  // Enough of them that some are under way at any moment.
  const scale = 0.5;
  const { figures } = await measureRecovery({ ...lab, scale }, stack);
  expect(figures['recovery_another_underWay']?.[0]).toBeGreaterThan(0);
  expect(figures['recovery_only_underWay']?.[0]).toBeGreaterThan(0);
  expect(figures['recovery_seconds']).toHaveLength(1);
  const each = Math.round(60 * scale);
  expect((await importedAndTold(stack.database)) - before).toBeGreaterThanOrEqual(3 * each);
});

test('an onboarding that does not come about is no measurement', async () => {
  const [order] = await stack.orders('acknowledge', 1);
  if (order === undefined) throw new Error('an order was made');
  await stack.load([order], 1);
  // The same session again, to the same partner.
  await expect(stack.load([order], 1)).rejects.toThrow('already_imported');
});
