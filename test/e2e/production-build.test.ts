import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { createApiKey, createApplication, createVerificationWorkflow } from '../../src/accounts/applications.ts';
import { apiOf } from '../../src/dev/api.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { createDatabase, dropDatabase } from '../../src/dev/embedded-database.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { document, PROJECT } from '../support/markdown.ts';
import { testContentEnv } from '../support/app-parts.ts';
import { useOwnNamespace } from '../support/namespace.ts';

const databaseName = `handoff_build_${process.pid}`;
const processes: ChildProcess[] = [];
let env: NodeJS.ProcessEnv;
let port: number;

function run(script: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('npm', ['run', script], { cwd: PROJECT, env, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

beforeAll(async () => {
  const namespace = await useOwnNamespace(inject('temporalAddress'));
  await createDatabase(inject('postgresAdminUrl'), databaseName);
  const url = new URL(inject('postgresAdminUrl'));
  url.pathname = databaseName;
  port = await freePort();
  env = {
    ...process.env,
    NODE_ENV: 'production',
    DATABASE_URL: url.href,
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    TEMPORAL_NAMESPACE: namespace,
    ...testContentEnv(),
    SHOW_ONE_TIME_CODES: 'false',
    PORT: String(port),
  };
});

afterAll(async () => {
  for (const child of processes)
    if (child.exitCode === null && child.signalCode === null && child.pid) process.kill(-child.pid, 'SIGKILL');
  await dropDatabase(inject('postgresAdminUrl'), databaseName);
});

it('builds, with the workflow bundle and the migrations inside', () => {
  const { status, output } = run('build');
  expect(status, output).toBe(0);
  for (const file of [
    'dist/workflow-bundle.js',
    'dist/workflow-bundle-encrypted.js',
    'dist/codec-server.js',
    'dist/server.js',
    'dist/worker.js',
    'dist/keys.js',
    'dist/receiver/index.d.ts',
    'dist/postgres/migrations/0001_handoff.sql',
    'dist/postgres/migrations/0002_contract.sql',
  ]) {
    expect(existsSync(`${PROJECT}/${file}`), file).toBe(true);
  }
});

it('offers the receiver’s module under the package’s own name', () => {
  const script = "import { verifyWebhook } from 'handoff/webhooks'; console.log(typeof verifyWebhook)";
  const { stdout, stderr } = spawnSync('node', ['--input-type=module', '--eval', script], {
    cwd: PROJECT,
    encoding: 'utf8',
  });
  expect(stdout.trim(), stderr).toBe('function');
});

it('migrates, once', () => {
  expect(run('migrate').output).toContain('Applied 0001_handoff');
  expect(run('migrate').output).toContain('Schema is current.');
});

it('stops at a wrong configuration with one line per problem and no stack trace', () => {
  const bad = {
    ...env,
    DATABASE_URL: 'mysql://x',
    PORT: '99999999',
    SHARE_TOKEN_KEYS: 'k:dG9vLXNob3J0',
    WEBHOOK_ALLOWED_CIDRS: '127.0.0.0/8',
  };
  for (const args of [['dist/server.js'], ['dist/worker.js', 'webhooks'], ['dist/worker.js', 'onboarding']]) {
    const { status, stderr } = spawnSync('node', args, { cwd: PROJECT, env: bad, encoding: 'utf8' });
    expect(status).toBe(1);
    const lines = stderr.trim().split('\n');
    expect(lines.every((line) => line.startsWith('handoff: '))).toBe(true);
    expect(stderr).toContain('DATABASE_URL must be a postgres:// URL');
    if (args[1] !== 'onboarding') expect(stderr).toContain('WEBHOOK_ALLOWED_CIDRS is for development');
    expect(stderr).not.toContain('dG9vLXNob3J0');
  }
});

it('hands a person over with three processes of the build', async () => {
  for (const script of ['start:server', 'start:worker', 'start:webhooks']) {
    processes.push(spawn('npm', ['run', script], { cwd: PROJECT, env, detached: true, stdio: 'ignore' }));
  }
  const url = `http://127.0.0.1:${port}`;
  const ready = () =>
    fetch(`${url}/readyz`).then(
      (answer) => answer.status,
      () => 0,
    );
  while ((await ready()) !== 200) await pause(200);

  const tenants = createTenants({ databaseUrl: String(env['DATABASE_URL']), maxConnections: 1 });
  const { issuer, partner, partnerId } = await tenants.acrossTenants('provision', async (sql) => {
    const brand = (name: string) => {
      const applicationId = createApplication(sql, { name, environment: 'live' });
      createVerificationWorkflow(sql, { applicationId, label: 'KYC', kind: 'user', isDefault: true });
      return { applicationId, key: createApiKey(sql, { applicationId, environment: 'live', name: 'test' }).apiKey };
    };
    const [x, y] = [brand('X'), brand('Y')];
    return { issuer: apiOf(url, x.key), partner: apiOf(url, y.key), partnerId: y.applicationId };
  });
  await tenants.close();
  const record = JSON.parse(document('samples/kyc-approved.json')) as JsonObject;
  delete record['environment'];
  const session = await issuer('POST', '/v1/sessions/', record);
  const connection = await issuer('POST', '/v1/connections/', { partner_application_id: partnerId });
  await partner('PATCH', `/v1/connections/${String(connection['connection_id'])}/`, {
    status: 'active',
    acceptance: 'automatic',
    trust_review: true,
  });
  const { token_id: tokenId } = await issuer('POST', '/v1/onboardings/', {
    session_id: session['session_id'] ?? null,
    for_application_id: partnerId,
  });
  let onboarding: JsonObject;
  do {
    await pause(100);
    onboarding = await partner('GET', `/v1/onboardings/${String(tokenId)}/`);
  } while (onboarding['ended_at'] === null);
  expect(onboarding['status']).toBe('imported');
  const imported = await partner('GET', `/v3/session/${String(onboarding['imported_session_id'])}/decision/`);
  expect(imported['status']).toBe('Approved');
});

it('ends each process in order on SIGTERM', async () => {
  for (const child of processes) process.kill(-(child.pid ?? 0), 'SIGTERM');
  while (processes.some((child) => child.exitCode === null && child.signalCode === null)) await pause(100);
});
