import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild } from '../../src/dev/child-process.ts';
import type { Lab } from '../../torture/lab.ts';
import type { Row } from '../../torture/part.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const VITEST = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');

interface Report {
  readonly numPassedTests: number;
  readonly numTotalTests: number;
}

/**
 * Runs test files as a process of its own, with larger numbers than a run of all tests has.
 *
 * @param what the row's name
 * @param files below the project's folder
 * @param settings beside this process's environment
 * @throws Error with the end of the output, when there is no report of it
 */
export async function testsPass(
  lab: Lab,
  what: string,
  files: readonly string[],
  settings: Readonly<Record<string, string>>,
): Promise<Row> {
  const name = what.replaceAll(/\W+/g, '-');
  const [outputFile, logFile] = [join(lab.folder, `${name}.json`), join(lab.folder, `${name}.log`)];
  const reporters = ['--reporter=json', `--outputFile=${outputFile}`];
  const child = await startChild({
    name: `vitest (${what})`,
    command: process.execPath,
    args: [VITEST, 'run', '--root', ROOT, ...reporters, ...files],
    logFile,
    env: { ...process.env, ...settings },
    ready: () => Promise.resolve(true),
  });
  lab.onEnd(() => child.stop());
  await child.ended;
  const { numPassedTests: passed, numTotalTests: all } = readReport(outputFile, logFile);
  // None at all is no proof.
  return { what, expected: 'all pass', seen: `${passed} of ${all}`, ok: all > 0 && passed === all };
}

function readReport(outputFile: string, logFile: string): Report {
  try {
    return JSON.parse(readFileSync(outputFile, 'utf8')) as Report;
  } catch (error) {
    throw new Error(`vitest left no report:\n${readFileSync(logFile, 'utf8').slice(-2_000)}`, { cause: error });
  }
}
