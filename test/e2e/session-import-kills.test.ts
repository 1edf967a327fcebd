import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { sessionImportWorkflowId } from '../../src/domain/temporal-names.ts';
import { formBytes, personRecord } from '../support/import-files.ts';
import { expectNoFailedTask } from '../support/runs.ts';
import { handoffStack } from '../support/stack.ts';
import { startWorkerProcess, type OwnProcess } from '../support/worker-process.ts';

const stack = handoffStack({ workers: [] });
const FILE_BYTES = 25_000_000;
const BAD_ROWS = [
  (id: string) => [`{"external_id":"${id}","status":`, 'The line is not JSON'] as const,
  (id: string) => [JSON.stringify(personRecord(id, { status: 'Apprved' })), 'status: Unknown status'] as const,
  (id: string) => [JSON.stringify(personRecord(id, { surprise: 1 })), 'surprise: Unknown field'] as const,
  (id: string) => [JSON.stringify({ ...personRecord(id), external_id: null }), 'external_id: It is missing'] as const,
];

/** A file of realistic rows, every fiftieth of them bad. */
function bigFile(): { content: string; good: string[]; bad: { row: number; error: string }[] } {
  const lines: string[] = [];
  const good: string[] = [];
  const bad: { row: number; error: string }[] = [];
  for (let bytes = 0; ;) {
    const row = lines.length + 1;
    const id = `record-${row}`;
    const broken = row % 50 === 17 ? BAD_ROWS[bad.length % BAD_ROWS.length]?.(id) : undefined;
    const line = broken?.[0] ?? JSON.stringify(personRecord(id));
    bytes += line.length + 1;
    if (bytes > FILE_BYTES) break;
    lines.push(line);
    if (broken === undefined) good.push(id);
    else bad.push({ row, error: broken[1] });
  }
  return { content: `${lines.join('\n')}\n`, good, bad };
}

let worker: OwnProcess | undefined;
async function startWorker(failAt = ''): Promise<OwnProcess> {
  worker = await startWorkerProcess('onboarding', { ...stack.env, LOG_LEVEL: 'error', FAIL_AT: failAt });
  return worker;
}
afterAll(async () => {
  await worker?.stop();
});

const read = (uuid: string) => stack.brands.done(stack.issuer, 'GET', `/v3/session/imports/${uuid}/`);
async function untilProcessed(uuid: string, rows: number): Promise<JsonObject> {
  for (;;) {
    const state = await read(uuid);
    if (Number(state['processed_rows']) >= rows) return state;
    await pause(50);
  }
}

describe('a file of 25 MB whose worker is killed twice', () => {
  test('has every good row in once, and every bad one reported with its line', { timeout: 180_000 }, async () => {
    const { issuer, apiUrl, brands, database, handoff } = stack;
    const { content, good, bad } = bigFile();
    const rows = good.length + bad.length;
    expect(rows).toBeGreaterThan(3_000);
    expect(bad.length / rows).toBeCloseTo(0.02, 2);

    // Dies with the part in the database, and before Temporal hears of it.
    const first = await startWorker('importPart:after:4');
    const { payload, headers } = await formBytes(
      { import_type: 'user_verification' },
      { name: 'history.ndjson', content },
    );
    const response = await fetch(new URL('/v3/session/imports/', apiUrl), {
      method: 'POST',
      headers: { ...headers, 'x-api-key': issuer.key },
      body: new Uint8Array(payload),
    });
    const created = (await response.json()) as JsonObject;
    expect({ status: response.status, ...created }).toMatchObject({ status: 'pending', total_rows: rows });
    expect(response.status).toBe(201);
    const uuid = String(created['uuid']);
    expect(await first.ended).toBe('signal SIGKILL');
    const afterFirst = Number((await read(uuid))['processed_rows']);
    expect(afterFirst).toBeGreaterThan(0);

    // Dies wherever it is, more than halfway.
    const second = await startWorker();
    const halfway = await untilProcessed(uuid, rows / 2);
    await second.kill();
    expect(halfway['status']).toBe('processing');

    await startWorker();
    const ended = await untilProcessed(uuid, rows);
    expect(ended).toMatchObject({
      status: 'completed',
      created_count: good.length,
      skipped_count: 0,
      failed_count: bad.length,
      checkpoint_row: rows,
    });

    const { rows: counts } = await database.pool.query(
      `select count(*)::int as sessions, count(distinct external_id)::int as ids, max(session_number)::int as last,
         (select living::int from session_counter c where c.application_id = $1 and session_kind = 'user') as living,
         (select count(*)::int from session_check k where k.application_id = $1) as checks,
         (select count(*)::int from session_search f where f.application_id = $1) as terms,
         (select count(*)::int from entity e where e.application_id = $1) as entities,
         (select count(*)::int from session_import_part) as parts
       from session where application_id = $1`,
      [issuer.id],
    );
    const all = good.length;
    expect(counts).toEqual([
      { sessions: all, ids: all, last: all, living: all, checks: all * 5, terms: all * 5, entities: all, parts: 0 },
    ]);
    const { rows: stored } = await database.pool.query<{ id: string }>(
      'select external_id as id from session where application_id = $1',
      [issuer.id],
    );
    expect(new Set(stored.map(({ id }) => id))).toEqual(new Set(good));

    const errors: JsonObject[] = [];
    for (let offset = 0; ; offset += 100) {
      const page = await brands.done(issuer, 'GET', `/v3/session/imports/${uuid}/errors/?limit=100&offset=${offset}`);
      errors.push(...(page['results'] as JsonObject[]));
      if (page['next'] === null) break;
    }
    expect(errors.map((error) => error['row_number'])).toEqual(bad.map(({ row }) => row));
    for (const [index, { error }] of bad.entries()) expect(errors[index]?.['error']).toContain(error);

    const run = handoff.temporal.workflow.getHandle(sessionImportWorkflowId(uuid));
    expect(await run.result()).toMatchObject({ status: 'completed', createdCount: all });
    const history = await run.fetchHistory();
    expectNoFailedTask(history);
    // Ids and numbers are all that Temporal is told.
    expect(JSON.stringify(history)).not.toMatch(/record-|history\.ndjson|Given|customer/);
  });
});
