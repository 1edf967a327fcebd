import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pythonTool } from './python-tools.ts';

/** Pinned: another version finds other things. */
const REQUIREMENTS = ['schemathesis==4.32.5'];

/** Tests of Schemathesis that our contract has an answer to; `fuzz.test.ts` says why the others do not apply. */
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'use_after_free',
];

/** In their order. */
export const FUZZ_PHASES = ['examples', 'coverage', 'fuzzing', 'stateful'] as const;

/** What one run of the fuzzer is about. */
export interface FuzzRun {
  /** URL of the OpenAPI document. */
  readonly document: string;
  /** Origin of the server. */
  readonly origin: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Names of operations to leave out. */
  readonly without: readonly string[];
  /** Ids that exist, by the path up to them: `/v3/session/:session_id`. */
  readonly places: Readonly<Record<string, readonly string[]>>;
  /** Values of a body's members that name something that exists. */
  readonly members: Readonly<Record<string, string>>;
  /** Examples of each operation. */
  readonly examples: number;
  /** The same seed sends the same requests. */
  readonly seed: number;
  readonly phases: readonly (typeof FUZZ_PHASES)[number][];
}

/**
 * Sends generated requests to every operation of a document and holds the answers against it.
 *
 * @returns whether all answers held, and the report to read
 */
export async function fuzz(run: FuzzRun): Promise<{ readonly held: boolean; readonly report: string }> {
  const tool = join(await pythonTool(REQUIREMENTS), 'schemathesis');
  // It keeps what it found in its folder, and reads its configuration from there.
  const folder = await mkdtemp(join(tmpdir(), 'handoff-fuzz-'));
  const headers = Object.entries(run.headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
  const without = run.without.flatMap((name) => ['--exclude-operation-id', name]);
  const extent = ['--max-examples', String(run.examples), '--seed', String(run.seed), '--phases', run.phases.join(',')];
  const quiet = ['--suppress-health-check', 'all', '--warnings', 'off', '--no-color', '--generation-database', 'none'];
  const pace = ['--continue-on-failure', '--workers', '2', '--request-timeout', '20'];
  const what = ['run', run.document, '--url', run.origin, '--checks', CHECKS.join(',')];
  const args = [...what, ...headers, ...without, ...extent, ...quiet, ...pace];
  try {
    return await new Promise((resolve, reject) => {
      const env = {
        ...process.env,
        SCHEMATHESIS_HOOKS: 'schemathesis_hooks',
        PYTHONPATH: import.meta.dirname,
        FUZZ_PLACES: JSON.stringify(run.places),
        FUZZ_MEMBERS: JSON.stringify(run.members),
      };
      const child = spawn(tool, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
      let report = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => (report += text));
      }
      child.on('error', reject);
      child.on('close', (code) => resolve({ held: code === 0, report }));
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
