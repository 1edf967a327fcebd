import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { percentile, race, spreadOf } from '../../bench/frame.ts';
import { makingRows } from '../../bench/made-rows.ts';
import { missed, reportOf, tablesOf, type Report } from '../../bench/report.ts';
import { judge } from '../../bench/targets.ts';
import { testDatabase } from '../support/database.ts';

const COMMAND = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'handoff-bench-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bench = (...args: string[]) =>
  promisify(execFile)(process.execPath, [COMMAND, ...args], { env: { ...process.env, TMPDIR: folder } });

describe('the command', () => {
  it('measures, prints a table, writes its numbers, and leaves nothing behind', async () => {
    const json = join(folder, 'numbers.json');
    const args = ['--quick', '--rounds', '1', '--scale', '0.01', '--only', 'a,webhooks', '--markdown', '--json', json];
    const { stdout } = await bench(...args);
    const report = JSON.parse(readFileSync(json, 'utf8')) as Report;
    expect(Object.keys(report).sort()).toEqual(['figures', 'machine', 'ratios', 'size', 'versions']);
    expect(Object.keys(report.ratios)).toEqual(
      expect.arrayContaining(['mint_http_vs_sql', 'import_http_vs_sql', 'webhook_vs_undici', 'signing_vs_hmac']),
    );
    for (const [name, { median, min, max }] of Object.entries({ ...report.ratios, ...report.figures })) {
      expect(0 < min && min <= median && median <= max, name).toBe(true);
      expect(stdout).toContain(`| ${name} |`);
    }
    expect(report.size).toEqual({ quick: true, rounds: 1, scale: 0.01 });
    expect(report.machine['cores']).toBeGreaterThan(0);
    expect(Object.keys(report.versions)).toEqual(expect.arrayContaining(['node', 'pg', 'postgres', 'undici']));
    expect(readdirSync(folder)).toEqual(['numbers.json']);
  }, 180_000);

  it('refuses what it does not know, and says how it is called', async () => {
    const refused = bench('--only', 'nothing', '--rounds', '0', '--scale', '2');
    await expect(refused).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/No part is called nothing\.\n--rounds .*\n--scale .*\nnpm run bench/) as string,
    });
  });
});

describe('a race', () => {
  it('turns the order round with each round, and keeps every sample', async () => {
    const order: string[] = [];
    const contender = (name: string) => async (round: number) => {
      order.push(name);
      return { round };
    };
    const rounds = await race({ rounds: 3, say: () => {} }, { one: contender('one'), other: contender('other') });
    expect(order).toEqual(['one', 'other', 'other', 'one', 'one', 'other']);
    expect(rounds).toEqual([1, 2, 3].map((round) => ({ one: { round }, other: { round } })));
  });

  it('gives the middle and the ends of its numbers', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(() => spreadOf([])).toThrow(RangeError);
    const hundred = Array.from({ length: 100 }, (_, at) => 100 - at);
    expect([percentile(hundred, 0.5), percentile(hundred, 0.99), percentile([7], 0.99)]).toEqual([50, 99, 7]);
  });
});

describe('the report', () => {
  const report = (ratios: Record<string, number[]>, figures: Record<string, number[]> = {}) =>
    reportOf([{ ratios, figures }], { quick: true, rounds: 1, scale: 1 }, {});

  it('judges medians by their targets, whichever way is better', () => {
    expect([0.59, 0.6, 0.79, 0.8].map((median) => judge('mint_http_vs_sql', median))).toEqual([
      'below',
      'ok',
      'ok',
      'aim',
    ]);
    expect([1.31, 1.3, 1.1].map((median) => judge('growth_list', median))).toEqual(['below', 'ok', 'aim']);
    expect(judge('onboarding_vs_dbos', 0.1)).toBeNull();
    expect(judge('nothing known', 0.1)).toBeNull();
  });

  it('names what misses its least: a ratio, or a figure', () => {
    expect(missed(report({ webhook_vs_undici: [0.9, 0.1, 0.2] }, { recovery_seconds: [26] }))).toEqual([
      'webhook_vs_undici',
      'recovery_seconds',
    ]);
    expect(missed(report({ webhook_vs_undici: [0.9, 0.1, 0.8] }, { recovery_seconds: [24] }))).toEqual([]);
  });

  it('shows targets beside their ratios', () => {
    const shown = tablesOf(report({ webhook_vs_undici: [0.5], other: [2] }, { some_ms: [1234.5] }), 'markdown');
    expect(shown).toContain('| webhook_vs_undici | 0.5 | 0.5 | 0.5 | ≥ 0.7 | ≥ 0.9 | below |');
    expect(shown).toContain('| other | 2 | 2 | 2 | – | – | – |');
    expect(shown).toContain('| some_ms | 1235 | 1235 | 1235 |');
  });
});

describe('contenders', () => {
  const database = testDatabase();

  it('do all of their work, or are not measured', async () => {
    const insert = (count: number) => () =>
      database.pool.query(
        `insert into application (application_id, name, environment, client_id)
         select gen_random_uuid(), 'one', 'sandbox', md5(random()::text) from generate_series(1, $1)`,
        [count],
      );
    await makingRows(database.pool, 'application', 3, insert(3));
    await expect(makingRows(database.pool, 'application', 3, insert(2))).rejects.toThrow(
      '2 rows in application instead of 3',
    );
  });
});
