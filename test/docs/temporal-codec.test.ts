import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { connectHandoffClient, temporalNamespace } from '../../src/client.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createTemporalCodec } from '../../src/crypto/temporal-codec.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { testDatabase } from '../support/database.ts';
import { codeBlocks, document, PROJECT } from '../support/markdown.ts';
import { useOwnNamespace } from '../support/namespace.ts';

const text = document('docs/temporal-codec.md');
const database = testDatabase();
const folder = mkdtempSync(join(tmpdir(), 'handoff-codec-docs-'));
const token = randomBytes(32).toString('base64url');
const keys = `2026-11:${randomBytes(32).toString('base64url')}`;
const workflowId = randomUUID();
let server: ChildProcess;
let env: NodeJS.ProcessEnv;
let port: number;

beforeAll(async () => {
  await useOwnNamespace(inject('temporalAddress'));
  symlinkSync(inject('temporalCliPath'), join(folder, 'temporal'));
  const codec = createTemporalCodec({ keys: parseKeyRing(keys), namespace: temporalNamespace() });
  const client = connectHandoffClient({ codec });
  const run = { tokenId: workflowId, issuerId: randomUUID(), partnerId: randomUUID(), sessionKind: 'user' } as const;
  expect(await client.startOnboarding(run)).toBe('started');
  await client.close();

  port = await freePort();
  env = {
    ...process.env,
    PATH: `${folder}:${process.env['PATH']}`,
    DATABASE_URL: database.url,
    TEMPORAL_CODEC_KEYS: keys,
    CODEC_UI_ORIGIN: 'http://127.0.0.1:8233',
    CODEC_OPERATORS: `ada:${createHash('sha256').update(token).digest('hex')}`,
    CODEC_PORT: String(port),
    TOKEN: token,
    WORKFLOW_ID: workflowId,
  };
  // What `npm run start:codec` starts, before it is built.
  server = spawn(process.execPath, [join(PROJECT, 'src/codec-server.ts')], { env, stdio: 'ignore' });
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await answers())) {
    if (server.exitCode !== null) throw new Error(`the codec server ended with ${server.exitCode}`);
    await pause(100);
  }
});
afterAll(() => {
  server.kill('SIGTERM');
  rmSync(folder, { recursive: true });
});

/** Runs the block that holds a text, as it stands but for the port and what it says to fill in. */
function run(block: string, more: NodeJS.ProcessEnv = {}) {
  const found = codeBlocks(text, 'bash').filter((each) => each.includes(block));
  expect(found).toHaveLength(1);
  const script = (found[0] ?? '')
    .replaceAll('8234', String(port))
    .replaceAll('x-namespace: default', `x-namespace: ${temporalNamespace()}`)
    .replaceAll('<time of step 2>', '2100-01-01T00:00:00Z')
    .replaceAll('curl -s', 'curl --fail --silent --show-error');
  return spawnSync('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
    cwd: PROJECT,
    env: { ...env, ...more },
    encoding: 'utf8',
    timeout: 30_000,
  });
}

test('every command of the page is tried here', () => {
  expect(codeBlocks(text, 'bash')).toHaveLength(5);
});

test('a key is made that the ring takes', () => {
  expect(parseKeyRing(run(`node -p "'2026-11:'`).stdout.trim()).kids).toEqual(['2026-11']);
});

test('a token is made, with the line for its operator', () => {
  const [, made = '', digest] =
    /^for the operator: (\S+)\nCODEC_OPERATORS=ada:(\S+)\n$/.exec(run('CODEC_OPERATORS=ada:').stdout) ?? [];
  expect(Buffer.from(made, 'base64url')).toHaveLength(32);
  expect(digest).toBe(createHash('sha256').update(made).digest('hex'));
});

test('Temporal’s command line shows what is encrypted', () => {
  const shown = run('temporal workflow show');
  expect(shown.status, shown.stderr).toBe(0);
  expect(shown.stdout).toContain(Buffer.from(JSON.stringify({ tokenId: workflowId })).toString('base64'));
});

test('and counts the runs of before', () => {
  const counted = run('temporal workflow count');
  expect(counted.status, counted.stderr).toBe(0);
  expect(counted.stdout).toContain('Total: ');
});

test('the server says why it refuses', () => {
  expect(run('curl -s').stdout).toBe('{"payloads":[]}');
  expect(run('curl -s', { TOKEN: 'another' }).stderr).toContain('401');
});

test('the login is made by the line that the page has, where its password is filled in', () => {
  expect(codeBlocks(text, 'sql')).toEqual([
    "create role handoff_codec_server login noinherit password '<password>';\n" +
      'grant connect on database handoff to handoff_codec_server;\n',
  ]);
});
