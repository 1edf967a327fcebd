import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { percentile, race, spreadOf } from '../../bench/frame.ts';
import { makingRows } from '../../bench/made-rows.ts';
import { readOptions } from '../../bench/options.ts';
import { exitCode, missed, reportOf, tablesOf, unmeasured, type About, type Report } from '../../bench/report.ts';
import { judge, TARGETS } from '../../bench/targets.ts';
import { until, within } from '../../bench/until.ts';
import { commit } from '../support/commit.ts';
import { testDatabase } from '../support/database.ts';

const FORMATTER = fileURLToPath(new URL('../../node_modules/oxfmt/bin/oxfmt', import.meta.url));
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
    const args = [
      '--quick',
      '--rounds',
      '1',
      '--scale',
      '0.01',
      '--only',
      'a,webhooks,growth',
      '--markdown',
      '--json',
      json,
    ];
    const { stdout } = await bench(...args);
    const report = JSON.parse(readFileSync(json, 'utf8')) as Report;
    expect(Object.keys(report).sort()).toEqual([
      'begun',
      'broken',
      'commit',
      'elapsed_seconds',
      'figures',
      'machine',
      'ratios',
      'size',
      'versions',
    ]);
    expect(new Date(report.begun).toISOString()).toBe(report.begun);
    expect(report.commit).toBe(commit());
    expect(report.broken).toEqual([]);
    expect(Object.keys(report.ratios)).toEqual(
      expect.arrayContaining([
        'mint_http_vs_sql',
        'import_http_vs_sql',
        'webhook_vs_undici',
        'signing_vs_hmac',
        'growth_mint',
        'growth_import',
        'growth_list',
        'growth_onboarding',
      ]),
    );
    for (const name of Object.keys(report.ratios)) expect(report.ratios[name]?.min, name).toBeGreaterThan(0);
    for (const [name, { median, min, max }] of Object.entries({ ...report.ratios, ...report.figures })) {
      expect(min <= median && median <= max, name).toBe(true);
      expect(stdout).toMatch(new RegExp(`^\\| \`${name}\` +\\|`, 'm'));
    }
    expect(report.elapsed_seconds).toEqual({
      a: expect.any(Number) as number,
      d: expect.any(Number) as number,
      e: expect.any(Number) as number,
      all: expect.any(Number) as number,
    });
    expect(stdout).toMatch(/^Seconds: a \d+, d \d+, e \d+, all \d+$/m);
    expect(report.size).toEqual({ quick: true, rounds: 1, scale: 0.01 });
    expect(report.machine['cores']).toBeGreaterThan(0);
    expect(Object.keys(report.versions)).toEqual(expect.arrayContaining(['node', 'pg', 'postgres', 'undici']));
    expect(readdirSync(folder)).toEqual(['numbers.json']);
  }, 180_000);

  it('refuses what it does not know on the error stream, and names its help', async () => {
    const refused = (...args: string[]) =>
      bench(...args).then(
        () => expect.fail('it was not refused'),
        ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => {
          expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
          expect(stderr).toMatch(/\nnpm run bench -- --help tells of all options\.\n$/);
          return stderr;
        },
      );
    expect(await refused('--only', 'nothing', '--rounds', '0', '--scale', '2')).toMatch(
      /^--only: no part is called "nothing"\n--rounds .*\n--scale .*\n/,
    );
    expect(await refused('--quik')).toContain("'--quik'");
    const { stdout } = await bench('--help');
    expect(stdout).toMatch(/^npm run bench/);
  });
});

describe('the commit', () => {
  it('is that of the checkout, or none', () => {
    expect(commit() ?? '0'.repeat(40)).toMatch(/^[0-9a-f]{40}(-dirty)?$/);
  });
});

describe('options', () => {
  const problemsOf = (...args: string[]) => {
    const options = readOptions(args);
    return 'problems' in options ? options.problems.join('\n') : '';
  };

  it.each([
    [['--only='], '--only: no part is called ""'],
    [['--only', 'a,'], '--only: no part is called ""'],
    [['--rounds', '0'], '--rounds'],
    [['--rounds', '1.5'], '--rounds'],
    [['--rounds='], '--rounds'],
    [['--scale', 'half'], '--scale'],
    [['--json'], '--json'],
    [['--json='], '--json'],
    [['a'], "'a'"],
  ])('%j are refused, by name', (args, named) => {
    expect(problemsOf(...args)).toContain(named);
  });

  it('says which were given to npm alone', () => {
    const env = { npm_lifecycle_event: 'bench', npm_config_quick: 'true' };
    expect(readOptions([], env)).toEqual({ problems: [expect.stringMatching(/^--quick went to npm/) as string] });
    expect(readOptions([], { ...env, npm_lifecycle_event: 'test' })).toMatchObject({ size: { quick: false } });
  });

  it('takes a file that can be written, and leaves it as it was', () => {
    const [there, fresh] = [join(folder, 'there.json'), join(folder, 'fresh.json')];
    writeFileSync(there, 'before');
    for (const file of [there, fresh]) expect(readOptions(['--json', file])).toMatchObject({ json: file });
    expect(readFileSync(there, 'utf8')).toBe('before');
    expect(existsSync(fresh)).toBe(false);
    rmSync(there);
    expect(problemsOf('--json', folder)).toMatch(/^--json names a file that cannot be written: EISDIR/);
    expect(problemsOf('--json', join(folder, 'none', 'numbers.json'))).toContain('ENOENT');
  });

  it('chooses parts by letter or name, all by default', () => {
    const lettersOf = (...args: string[]) => {
      const options = readOptions(args);
      return 'problems' in options ? options.problems : options.parts.map(([letter]) => letter).join('');
    };
    expect([lettersOf(), lettersOf('--only', 'webhooks,a')]).toEqual(['abcdef', 'ad']);
  });

  it('has a part for every target', () => {
    const options = readOptions([]);
    const names = 'problems' in options ? [] : options.parts.map(([, { name }]) => name);
    expect(names).toEqual(expect.arrayContaining(Object.values(TARGETS).map(({ part }) => part)));
  });
});

describe('a race', () => {
  it('begins each round with another contender, and keeps every sample', async () => {
    const order: string[] = [];
    const contender = (name: string) => async () => {
      order.push(name);
      return { turn: order.length };
    };
    const contenders = { a: contender('a'), b: contender('b'), c: contender('c') };
    const rounds = await race({ rounds: 4, say: () => {} }, contenders);
    expect(order.join('')).toBe('abcbcacababc');
    const turns = (a: number, b: number, c: number) => ({ a: { turn: a }, b: { turn: b }, c: { turn: c } });
    expect(rounds).toEqual([turns(1, 2, 3), turns(6, 4, 5), turns(8, 9, 7), turns(10, 11, 12)]);
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
  const ABOUT: About = {
    begun: '2026-11-24T00:00:00.000Z',
    commit: null,
    size: { quick: true, rounds: 1, scale: 1 },
    versions: {},
    elapsed_seconds: { a: 1 },
    broken: [],
  };
  const report = (ratios: Record<string, number[]>, figures: Record<string, number[]> = {}) =>
    reportOf([{ ratios, figures }], ABOUT);

  it('judges medians by their targets, whichever way is better', () => {
    expect([0.59, 0.6, 0.79, 0.8].map((median) => judge('mint_http_vs_sql', median))).toEqual([
      'missed',
      'ok',
      'ok',
      'aim',
    ]);
    expect([1.31, 1.3, 1.1].map((median) => judge('growth_list', median))).toEqual(['missed', 'ok', 'aim']);
    expect(judge('onboarding_vs_dbos', 0.1)).toBeNull();
    expect(judge('nothing known', 0.1)).toBeNull();
  });

  it('names the ratios that miss what they must reach, and fails for them where that is asked for', () => {
    const some = report({ webhook_vs_undici: [0.9, 0.1, 0.2], recovery_seconds: [26] });
    expect(missed(some)).toEqual(['webhook_vs_undici', 'recovery_seconds']);
    const none = report({ webhook_vs_undici: [0.9, 0.1, 0.8], recovery_seconds: [24] }, { growth_mint: [9] });
    expect(missed(none)).toEqual([]);
    const parts = ['webhooks', 'recovery'];
    const codes = [some, none].map((one) => [
      exitCode(one, { check: true, parts }),
      exitCode(one, { check: false, parts }),
      exitCode({ ...one, broken: ['webhooks'] }, { check: false, parts }),
    ]);
    expect(codes).toEqual([
      [1, 0, 1],
      [0, 0, 1],
    ]);
  });

  it('names targets of the chosen parts that were not measured, and fails for them likewise', () => {
    const parts = ['webhooks', 'dbos'];
    const some = report({ webhook_vs_undici: [0.8] });
    expect(unmeasured(some, parts)).toEqual(['onboarding_vs_dbos']);
    expect(unmeasured(some, ['webhooks'])).toEqual([]);
    const codes = [true, false].map((check) => exitCode(some, { check, parts }));
    expect(codes).toEqual([1, 0]);
  });

  it('shows ratios with their targets, processor time by process, and other figures', () => {
    const figures = {
      one_perSecond: [1234.5],
      one_cpuMs: [30],
      one_postgresCpuMs: [10],
      one_alone_cpuMs: [40],
      one_alone_serverCpuMs: [20, 21, 22],
    };
    const some = report({ webhook_vs_undici: [0.5, 0.4, 0.6], other: [2] }, figures);
    expect(tablesOf(some, 'text').split('\n')).toEqual([
      'ratio              median  min  max   must    aim  reached',
      'webhook_vs_undici     0.5  0.4  0.6  ≥ 0.7  ≥ 0.9   missed',
      'other                   2    2    2      –      –        –',
      '',
      'CPU ms for one  all  postgres  server',
      'one              30        10       –',
      'one_alone        40         –      21',
      '',
      'figure         median   min   max',
      'one_perSecond    1235  1235  1235',
    ]);
    const page = join(folder, 'tables.md');
    const tables = `${tablesOf(some, 'markdown')}\n`;
    expect(tables).toContain('| `webhook_vs_undici` |    0.5 | 0.4 | 0.6 | ≥ 0.7 | ≥ 0.9 |  missed |');
    writeFileSync(page, tables);
    // As our formatter leaves it.
    execFileSync(process.execPath, [FORMATTER, page]);
    expect(readFileSync(page, 'utf8')).toBe(tables);
    rmSync(page);
  });
});

describe('waiting', () => {
  it('ends when something is there, and names what does not come', async () => {
    let asked = 0;
    await until('the third time', () => (asked += 1) === 3);
    expect(asked).toBe(3);
    await expect(until('never', () => false, 50)).rejects.toThrow('never: not there after 0.05 s');
    await expect(within('an answer', Promise.resolve('here'))).resolves.toBe('here');
    await expect(within('an answer', new Promise(() => {}), 50)).rejects.toThrow('an answer: not there after 0.05 s');
    await expect(within('an answer', Promise.reject(new Error('broken')))).rejects.toThrow('broken');
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
