import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createDatabase, startEmbeddedPostgres } from '../../src/dev/embedded-database.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Sandbox, SandboxApplication } from '../../src/dev/sandbox.ts';
import { codeBlocks, document, PROJECT } from '../support/markdown.ts';
import { isRunning } from '../support/processes.ts';
import { recomputeChain } from '../support/recompute-chain.ts';

/** Ports that an `npm start` beside the tests would use stay its own: ours are stepped over or given here. */
const folder = mkdtempSync(join(tmpdir(), 'handoff-docs-'));
const env: NodeJS.ProcessEnv = {
  ...process.env,
  HANDOFF_FOLDER: folder,
  TEMPORAL_CLI_PATH: inject('temporalCliPath'),
  TEMPORAL_ADDRESS: undefined,
  TEMPORAL_NAMESPACE: undefined,
  DATABASE_URL: undefined,
};
let start: ChildProcess;
let printed = '';

beforeAll(async () => {
  chmodSync(folder, 0o711);
  start = spawn('npm', ['start'], { cwd: PROJECT, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [start.stdout, start.stderr]) stream?.on('data', (chunk: Buffer) => (printed += String(chunk)));
  while (!printed.includes('Everything stays up until Ctrl-C.')) {
    if (start.exitCode !== null) throw new Error(`npm start ended with ${start.exitCode}:\n${printed}`);
    await pause(200);
  }
});

afterAll(() => {
  if (start.exitCode === null && start.pid !== undefined) process.kill(-start.pid, 'SIGKILL');
  // As root, Postgres's data lies where its own account can reach it, behind a link.
  const data = join(folder, 'postgres');
  if (existsSync(data)) rmSync(dirname(realpathSync(data)), { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
});

const sandbox = () => JSON.parse(readFileSync(join(folder, 'sandbox.json'), 'utf8')) as Sandbox;
const brand = (role: string) => sandbox().applications.find((each) => each.role === role) as SandboxApplication;

function bash(script: string) {
  // Bash takes a socket as its input for a remote login, and would read that machine's start-up files.
  return spawnSync('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
    cwd: PROJECT,
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
}

describe('npm start', () => {
  it('prints both imported sessions, the link of each run, and writes what it printed to sandbox.json', () => {
    const { onboardings } = sandbox();
    expect(onboardings.map(({ session_kind, status }) => [session_kind, status])).toEqual([
      ['user', 'imported'],
      ['business', 'imported'],
    ]);
    for (const { imported_session_id, temporal_url } of onboardings) {
      expect(printed).toContain(`session ${imported_session_id}, status A`);
      expect(printed).toContain(String(temporal_url));
    }
  });

  it('prints three curl lines that work as printed', () => {
    const lines = printed.split('\n').filter((line) => line.trim().startsWith('curl '));
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      const { status, stdout, stderr } = bash(`${line.trim()} --fail --silent --show-error`);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(JSON.parse(stdout)).not.toHaveProperty('code');
    }
  });

  it('serves a Temporal Web UI that knows each run', async () => {
    const { temporal_ui_url: ui, onboardings } = sandbox();
    for (const { token_id } of onboardings) {
      const answer = await fetch(`${ui}/api/v1/namespaces/default/workflows/${token_id}`);
      expect(answer.status).toBe(200);
    }
  });

  it('refuses to run twice in one folder', () => {
    const second = spawnSync('npm', ['start', '--', '--exit'], { cwd: PROJECT, env, encoding: 'utf8' });
    expect(second.status).toBe(1);
    expect(second.stderr).toContain('is running here already');
  });
});

describe('README.md', () => {
  it('has commands that work in the order they stand', () => {
    const blocks = codeBlocks(document('README.md'), 'bash');
    expect(blocks.slice(0, 2).map((block) => block.trim())).toEqual(['npm start', 'npm test']);
    const walk = blocks.slice(2).join('\n').replaceAll('curl -s', 'curl --fail --silent --show-error');
    expect(walk.match(/curl /g)).toHaveLength(7);
    const { status, stdout, stderr } = bash(walk);
    expect(status, stderr).toBe(0);
    expect(stdout).toContain('"vendor_data":"partner-user-42"');
    expect(stdout).toMatch(/Ended: imported, session [0-9a-f-]{36}/);
    expect(stdout).toContain('"results":[{"token_id"');
    expect(stdout).toContain('"status":"refused","reason":"not our kind of customer"');
  });
});

describe('docs/ten-calls.md', () => {
  it('goes from nothing to a shared identity in ten calls that work as they stand', () => {
    const calls = codeBlocks(document('docs/ten-calls.md'), 'bash').join('\n');
    expect(calls.match(/curl /g)).toHaveLength(10);
    const walk = calls.replaceAll('curl -s', 'curl --fail --silent --show-error');
    const { status, stdout, stderr } = bash(walk);
    expect(status, stderr).toBe(0);
    expect(stdout).toContain('"vendor_data":"partner-user-42"');
    expect(stdout).toContain('"status":"Approved"');
    expect(stdout).toMatch(/"source_application_id":"[0-9a-f-]{36}"/);
  });
});

describe('docs/webhooks.md', () => {
  it('makes a destination of the sandbox, whose endpoint is reached', async () => {
    const port = await freePort();
    const answering = `require('node:http').createServer((request, response) => response.end()).listen(${port}, '127.0.0.1')`;
    const receiver = spawn(process.execPath, ['--eval', answering], { stdio: 'ignore' });
    try {
      const walk = codeBlocks(document('docs/webhooks.md'), 'bash').join('\n');
      expect(walk.match(/curl /g)).toHaveLength(3);
      expect(walk).toContain('http://127.0.0.1:8080/');
      while ((await fetch(`http://127.0.0.1:${port}/`).catch(() => null)) === null) await pause(50);
      const { status, stdout, stderr } = bash(
        walk.replace('8080', String(port)).replaceAll('curl -s', 'curl --fail --silent --show-error'),
      );
      expect(status, stderr).toBe(0);
      const [made, test, read] = stdout
        .trim()
        .split(/(?<=\})\s*(?=\{)/)
        .map((each) => JSON.parse(each) as Record<string, unknown>);
      expect(made).toMatchObject({ status: 'active', secret_standard_webhooks: expect.stringMatching(/^whsec_/) });
      expect(test).toMatchObject({ status: 'delivered', response_status: 200, reason: 'http_200' });
      expect(read).toMatchObject({ status: 'active', failing_since: null, ping: { status: 'delivered' } });
    } finally {
      receiver.kill('SIGKILL');
    }
  });
});

describe('docs/audit.md', () => {
  it('verifies the trail of the sandbox, and an export of it, with the commands as they stand', () => {
    const blocks = codeBlocks(document('docs/audit.md'), 'bash');
    expect(blocks).toHaveLength(2);
    const walk = blocks.join('\n').replaceAll('curl -s', 'curl --fail --silent --show-error');
    const { status, stdout, stderr } = bash(`${walk}\nrm -f audit.ndjson`);
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(/Every one of \d+ sealed events of \d+ applications is as it was sealed, in its place\./);
    expect(stdout).toMatch(/Export of [0-9a-f-]{36}: \d+ events/);
    expect(stdout).not.toContain('FAILED');
  });
});

describe('docs/agent-prompt.md', () => {
  it('describes requests and responses as they are', async () => {
    const text = document('docs/agent-prompt.md');
    const [mint, importing, subscribe] = codeBlocks(text, 'http').map(readRequest);
    const session = sandbox().sessions.find(({ session_kind }) => session_kind === 'business');
    const share = await send(
      mint,
      'issuer',
      { '<partner-application-uuid>': brand('partner').application_id },
      {
        '{sessionId}': session?.session_id ?? '',
      },
    );
    expect(share.status).toBe(201);
    const documented = JSON.parse(codeBlocks(text, 'json')[0] ?? '') as object;
    expect(Object.keys(share.body).sort()).toEqual(Object.keys(documented).sort());

    const director = sandbox().sessions[0]?.session_id ?? '';
    const person = await send(
      mint,
      'issuer',
      { '<partner-application-uuid>': brand('partner').application_id },
      {
        '{sessionId}': director,
      },
    );
    const imported = await send(importing, 'partner', {
      '<jwt from step 2>': String(person.body['share_token']),
      "<Service Y's own workflow id>": brand('partner').workflows.user,
      "<Service Y's internal user id>": 'prompt-user',
    });
    expect(imported.status).toBe(201);
    const listed = /Response: 201 Created with a brand-new session[\s\S]*?For a `"business"`/.exec(text)?.[0] ?? '';
    const fields = [...listed.matchAll(/`([a-z_]+)`/g)].map((match) => match[1] ?? '');
    expect(fields.length).toBeGreaterThan(10);
    expect(fields.filter((field) => !(field in imported.body))).toEqual([]);
    const again = await send(importing, 'partner', {
      '<jwt from step 2>': String(person.body['share_token']),
      "<Service Y's own workflow id>": brand('partner').workflows.user,
      "<Service Y's internal user id>": 'prompt-user',
    });
    expect([again.status, again.body['code']]).toEqual([403, 'already_imported']);

    const destination = await send(subscribe, 'partner', {
      '<https url of your receiver>': 'https://receiver.example/hooks',
    });
    expect(destination.status).toBe(201);
    expect(destination.body['secret_shared_key']).toMatch(/^[\w-]{43}$/);
  });
});

describe('Ctrl-C', () => {
  it('leaves no process behind, and a second start keeps the data', async () => {
    const { temporal_address: temporal, database_url: database } = sandbox();
    const before = sandbox();
    process.kill(Number(readFileSync(join(folder, 'running.pid'), 'utf8')), 'SIGINT');
    while (start.exitCode === null) await pause(100);
    expect(start.exitCode).toBe(0);
    for (const url of [`http://${temporal}`, before.api_url]) await expect(fetch(url)).rejects.toThrow();
    expect(database).toContain('127.0.0.1');
    expect(isRunning(start.pid ?? 0)).toBe(false);

    const second = spawnSync('npm', ['start', '--', '--exit'], {
      cwd: PROJECT,
      env,
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(second.status).toBe(0);
    expect(second.stdout).toContain('data kept');
    expect(sandbox().applications).toEqual(before.applications);
    expect(sandbox().onboardings.map(({ token_id }) => token_id)).toEqual(
      before.onboardings.map(({ token_id }) => token_id),
    );
  });

  it('leaves a trail that verifies, and whose altered, cut and recomputed copies do not', async () => {
    const postgres = await startEmbeddedPostgres({ dataFolder: join(folder, 'postgres') });
    const { secrets } = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as { secrets: NodeJS.ProcessEnv };
    const anchors = { AUDIT_ANCHORS: pathToFileURL(join(folder, 'audit-anchors')).href, ...secrets };
    const verifyCopy = async (name: string, change: (client: Client) => Promise<unknown>) => {
      await createDatabase(postgres.url('postgres'), name, 'handoff');
      const client = new Client({ connectionString: postgres.url(name) });
      await client.connect();
      await client.query('set session_replication_role = replica');
      await change(client);
      await client.end();
      const { status, stdout } = spawnSync('npm', ['run', '--silent', 'audit', '--', 'verify'], {
        cwd: PROJECT,
        env: { ...env, ...anchors, DATABASE_URL: postgres.url(name) },
        encoding: 'utf8',
      });
      return { status, failures: stdout.split('\n').filter((line) => line.startsWith('FAILED: ')) };
    };
    const issuer = brand('issuer').application_id;
    const changeOneByte = `update event e set salt = set_byte(e.salt, 0, get_byte(e.salt, 0) # 1)
      from audit_chain c where c.event_id = e.event_id and c.application_id = $1 and c.position = 2`;
    try {
      expect(await verifyCopy('untouched', () => Promise.resolve())).toEqual({ status: 0, failures: [] });
      expect(await verifyCopy('one_byte', (client) => client.query(changeOneByte, [issuer]))).toEqual({
        status: 1,
        failures: [expect.stringMatching(`^FAILED: Event .* at position 2 of ${issuer} was altered`) as string],
      });
      const cutOff = async (client: Client) => {
        const cut = 'delete from audit_chain where application_id = $1 and position > 3 returning event_id';
        const { rows } = await client.query<{ event_id: string }>(cut, [issuer]);
        await client.query('delete from event where event_id = any ($1)', [rows.map(({ event_id }) => event_id)]);
      };
      expect(await verifyCopy('cut_tail', cutOff)).toEqual({
        status: 1,
        failures: [
          expect.stringMatching(
            `^FAILED: The tail of the chain of ${issuer} was cut off: it ends at position 3`,
          ) as string,
        ],
      });
      const recompute = async (client: Client) => {
        await client.query(changeOneByte, [issuer]);
        await recomputeChain(async (text, values) => (await client.query(text, [...values])).rows, issuer);
      };
      expect(await verifyCopy('recomputed', recompute)).toEqual({
        status: 1,
        failures: [expect.stringMatching(`^FAILED: The chain of ${issuer} was recomputed: `) as string],
      });
    } finally {
      await postgres.stop();
    }
  });

  it('begins with empty data after --fresh', () => {
    const before = sandbox();
    const fresh = spawnSync('npm', ['start', '--', '--exit', '--fresh'], {
      cwd: PROJECT,
      env,
      encoding: 'utf8',
      timeout: 90_000,
    });
    expect(fresh.status).toBe(0);
    expect(sandbox().applications.map(({ application_id }) => application_id)).not.toEqual(
      before.applications.map(({ application_id }) => application_id),
    );
  });
});

interface DocumentedRequest {
  method: string;
  path: string;
  body: string;
}

function readRequest(block: string): DocumentedRequest {
  const [head = '', body = ''] = block.split('\n\n');
  const [method = '', path = ''] = (head.split('\n')[0] ?? '').split(' ');
  return { method, path, body };
}

async function send(
  request: DocumentedRequest | undefined,
  role: string,
  inBody: Record<string, string>,
  inPath: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  if (request === undefined) throw new Error('the prompt lacks a request');
  const fill = (text: string, values: Record<string, string>) =>
    Object.entries(values).reduce((filled, [name, value]) => {
      expect(filled).toContain(name);
      return filled.replace(name, value);
    }, text);
  const answer = await fetch(new URL(fill(request.path, inPath), sandbox().api_url), {
    method: request.method,
    headers: { 'x-api-key': brand(role).api_key, 'content-type': 'application/json' },
    body: fill(request.body, inBody),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}
