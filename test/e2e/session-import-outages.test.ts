import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { startDevTemporal, type DevTemporal } from '../../src/dev/dev-temporal.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { sessionImportWorkflowId } from '../../src/domain/temporal-names.ts';
import { formBytes } from '../support/import-files.ts';
import { handoffStack } from '../support/stack.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-import-outages-'));
const port = await freePort();
let temporal: DevTemporal | undefined;

/** This file's own Temporal: nothing answers at its address at first. */
async function nameTemporal(): Promise<void> {
  process.env['TEMPORAL_ADDRESS'] = `127.0.0.1:${port}`;
  process.env['TEMPORAL_NAMESPACE'] = 'default';
}

// Registered before the stack's own, so that it comes after it.
afterAll(async () => {
  await temporal?.stop();
  rmSync(folder, { recursive: true });
});
const stack = handoffStack({ useTemporal: nameTemporal, workers: [] });

async function upload(rows: number, prefix: string): Promise<string> {
  const lines = Array.from({ length: rows }, (_, index) =>
    JSON.stringify({ external_id: `${prefix}-${index}`, status: 'Approved' }),
  );
  const file = { name: 'history.ndjson', content: lines.join('\n') };
  const { payload, headers } = await formBytes({ import_type: 'user_verification' }, file);
  const response = await fetch(new URL('/v3/session/imports/', stack.apiUrl), {
    method: 'POST',
    headers: { ...headers, 'x-api-key': stack.issuer.key },
    body: new Uint8Array(payload),
  });
  expect(response.status).toBe(201);
  return String(((await response.json()) as JsonObject)['uuid']);
}

const read = (uuid: string) => stack.brands.done(stack.issuer, 'GET', `/v3/session/imports/${uuid}/`);
const statusOf = (uuid: string) => async () => (await read(uuid))['status'];
const wishOf = async (uuid: string) =>
  (await stack.database.pool.query('select attempts from outbox where subject_id = $1', [uuid])).rows;

test('files are taken while Temporal is down, and taken in once it is back', { timeout: 120_000 }, async () => {
  const uuid = await upload(500, 'down');
  const cancelled = await upload(500, 'cancelled');
  const forgotten = await upload(500, 'forgotten');
  expect(await wishOf(uuid)).toHaveLength(1);
  expect(await read(uuid)).toMatchObject({ status: 'pending', processed_rows: 0 });
  // Cancelling needs no Temporal either.
  const path = `/v3/session/imports/${cancelled}/cancel/`;
  expect(await stack.brands.done(stack.issuer, 'POST', path, {})).toMatchObject({ status: 'cancelled' });
  // A run that Temporal was never asked for, or has lost.
  await stack.database.pool.query('delete from outbox where subject_id = $1', [forgotten]);

  temporal = await startDevTemporal({
    binary: inject('temporalCliPath'),
    port,
    headless: true,
    logFile: join(folder, 'temporal.log'),
  });
  await stack.startWorker('onboarding');
  await expect.poll(statusOf(uuid), { timeout: 60_000 }).toBe('completed');
  expect(await read(uuid)).toMatchObject({ created_count: 500, processed_rows: 500 });
  await expect.poll(statusOf(forgotten), { timeout: 60_000 }).toBe('completed');
  expect(await read(cancelled)).toMatchObject({ status: 'cancelled', created_count: 0 });
  await expect.poll(() => wishOf(uuid), { timeout: 60_000 }).toEqual([]);
});

test('a run that an operator terminates or cancels ends its import', { timeout: 120_000 }, async () => {
  const handle = (uuid: string) => stack.handoff.temporal.workflow.getHandle(sessionImportWorkflowId(uuid));
  await stack.stopWorker('onboarding');
  const [terminated, cancelled] = [await upload(300, 'terminated'), await upload(300, 'canceled')];
  await expect.poll(() => stack.handoff.describeSessionImport(terminated)).toBe('running');
  await expect.poll(() => stack.handoff.describeSessionImport(cancelled)).toBe('running');
  await handle(terminated).terminate();
  await handle(cancelled).cancel();
  await stack.startWorker('onboarding');
  await expect.poll(statusOf(cancelled), { timeout: 60_000 }).toBe('cancelled');
  await expect.poll(statusOf(terminated), { timeout: 60_000 }).toBe('cancelled');
  expect(await read(terminated)).toMatchObject({ last_error: expect.stringContaining('operator') });
  expect(await stack.handoff.describeSessionImport(cancelled)).toBe('canceled');
  const left = await stack.database.pool.query('select 1 from session_import_part');
  expect(left.rows).toEqual([]);
});

test('an import that is cancelled by a call while it runs ends its run', { timeout: 120_000 }, async () => {
  const uuid = await upload(20_000, 'midway');
  const processed = async () => Number((await read(uuid))['processed_rows']);
  await expect.poll(processed, { timeout: 60_000, interval: 10 }).toBeGreaterThan(0);
  const ended = await stack.brands.done(stack.issuer, 'POST', `/v3/session/imports/${uuid}/cancel/`, {});
  expect(ended).toMatchObject({ status: 'cancelled' });
  expect(Number(ended['processed_rows'])).toBeLessThan(20_000);
  const result = await stack.handoff.temporal.workflow.getHandle(sessionImportWorkflowId(uuid)).result();
  expect(result).toMatchObject({ status: 'cancelled', processedRows: ended['processed_rows'] });
  const { rows } = await stack.database.pool.query(
    `select count(*)::int as count from session where external_id like 'midway-%'`,
  );
  expect(rows).toEqual([{ count: ended['created_count'] }]);
});
