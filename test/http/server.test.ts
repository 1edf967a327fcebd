import { connect } from 'node:net';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import pino from 'pino';
import { describe, expect, inject, it } from 'vitest';
import { readServerConfig } from '../../src/config.ts';
import { createDatabase, dropDatabase } from '../../src/dev/embedded-database.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { startServer } from '../../src/server.ts';
import { testContentEnv, testKey } from '../support/app-parts.ts';
import { testDatabase } from '../support/database.ts';

const database = testDatabase();
const ENTRY = fileURLToPath(new URL('../../src/server.ts', import.meta.url));
const KEYS = `test:${testKey(1)}`;

async function start(temporal: string, databaseUrl = database.url, logger = pino({ level: 'silent' })) {
  const config = readServerConfig({
    DATABASE_URL: databaseUrl,
    SHARE_TOKEN_KEYS: KEYS,
    ...testContentEnv(),
    PORT: '0',
  });
  if ('problems' in config) throw new Error(config.problems.join('\n'));
  const before = process.env['TEMPORAL_ADDRESS'];
  process.env['TEMPORAL_ADDRESS'] = temporal;
  try {
    return await startServer(config, logger);
  } finally {
    if (before === undefined) delete process.env['TEMPORAL_ADDRESS'];
    else process.env['TEMPORAL_ADDRESS'] = before;
  }
}

describe('private addresses', () => {
  const read = (NODE_ENV: string) =>
    readServerConfig({
      DATABASE_URL: 'postgres://handoff@localhost/handoff',
      SHARE_TOKEN_KEYS: KEYS,
      ...testContentEnv(),
      SHOW_ONE_TIME_CODES: '',
      WEBHOOK_ALLOWED_CIDRS: '127.0.0.0/8',
      NODE_ENV,
    });

  it('are not for webhooks in production, however it is spelled', () => {
    for (const name of ['production', 'PRODUCTION', 'Production ', 'prod', 'Prod']) {
      expect(read(name)).toEqual({ problems: [expect.stringContaining('WEBHOOK_ALLOWED_CIDRS is for development')] });
    }
    for (const name of ['', 'test', 'development', 'product']) {
      expect(read(name)).toMatchObject({ webhookUrlRules: { allowedCidrs: ['127.0.0.0/8'] } });
    }
  });
});

describe('one-time codes', () => {
  const read = (more: Record<string, string>) =>
    readServerConfig({
      DATABASE_URL: 'postgres://handoff@localhost/handoff',
      SHARE_TOKEN_KEYS: KEYS,
      ...testContentEnv(),
      SHOW_ONE_TIME_CODES: '',
      ...more,
    });

  it('are shown only where that is said', () => {
    expect(read({})).toMatchObject({ showCodes: false, mail: null });
    expect(read({ SHOW_ONE_TIME_CODES: 'false', NODE_ENV: 'production' })).toMatchObject({ showCodes: false });
    expect(read({ SHOW_ONE_TIME_CODES: 'true', NODE_ENV: 'test' })).toMatchObject({ showCodes: true });
  });

  it.each<[string, string, string]>([
    ['yes', 'test', 'must be true or false'],
    ...['production', 'PRODUCTION', ' Production', 'prod', 'PROD'].map((name): [string, string, string] => [
      'true',
      name,
      'refused when NODE_ENV=production',
    ]),
  ])('are not shown for %s in %s', (given, NODE_ENV, problem) => {
    const config = read({ SHOW_ONE_TIME_CODES: given, NODE_ENV });
    expect(config).toMatchObject({ problems: [expect.stringContaining(problem)] });
  });
});

describe('the server', () => {
  it('registers its keys, and names in the log a secret that it cannot open', async () => {
    const one = [randomUUID()];
    await database.pool.query(
      `insert into application (application_id, name, environment) values ($1, 'One', 'sandbox')`,
      one,
    );
    await database.pool.query(`insert into ingest_secret (application_id, sealed) values ($1, '\\x01026b390000')`, one);
    const lines: unknown[] = [];
    const write = (line: string) => void lines.push(JSON.parse(line));
    const server = await start(inject('temporalAddress'), database.url, pino({ level: 'error' }, { write }));
    await server.close();
    const { rows } = await database.pool.query('select kid, state from signing_key');
    expect(rows).toEqual([{ kid: 'test', state: 'active' }]);
    expect(lines).toMatchObject([{ unreadable: 1, of: one }]);
    await database.pool.query('delete from ingest_secret');
  });

  it('is ready on a migrated database with a real Temporal', async () => {
    const server = await start(inject('temporalAddress'));
    try {
      const answer = await fetch(`${server.url}/readyz`);
      expect(await answer.json()).toEqual({
        status: 'ok',
        checks: { database: 'ok', migrations: 'ok', temporal: 'ok', search_attributes: 'ok' },
      });
      expect(answer.status).toBe(200);
    } finally {
      await server.close();
    }
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
  });

  it('starts and answers without Temporal', async () => {
    const server = await start(`127.0.0.1:${await freePort()}`);
    try {
      const answer = await fetch(`${server.url}/readyz`);
      expect(answer.status).toBe(200);
      expect(await answer.json()).toMatchObject({ status: 'degraded', checks: { database: 'ok', migrations: 'ok' } });
      expect((await fetch(`${server.url}/v1/onboardings/`)).status).toBe(401);
    } finally {
      await server.close();
    }
  });

  it('waits for a database that is not migrated yet, and then registers its keys', async () => {
    await createDatabase(inject('postgresAdminUrl'), 'handoff_test_late');
    const late = new URL(database.url);
    late.pathname = 'handoff_test_late';
    const server = await start(`127.0.0.1:${await freePort()}`, late.href);
    const reader = new Client({ connectionString: late.href });
    try {
      const answer = await fetch(`${server.url}/readyz`);
      expect(answer.status).toBe(503);
      expect(await answer.json()).toMatchObject({
        status: 'unavailable',
        checks: { database: 'ok', migrations: expect.stringContaining('0001_handoff') },
      });
      await migrate(late.href);
      await reader.connect();
      await expect
        .poll(async () => (await reader.query("select kid from signing_key where state = 'active'")).rows, {
          timeout: 20_000,
        })
        .toEqual([{ kid: 'test' }]);
      expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    } finally {
      await reader.end();
      await server.close();
      await dropDatabase(inject('postgresAdminUrl'), 'handoff_test_late');
    }
  });

  it('answers bytes that are no HTTP in our own shape', async () => {
    const server = await start(`127.0.0.1:${await freePort()}`);
    try {
      const { port, hostname } = new URL(server.url);
      const answer = await new Promise<string>((resolve, reject) => {
        const socket = connect(Number(port), hostname, () => socket.write('nonsense\r\n\r\n'));
        let text = '';
        socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
        socket.on('end', () => resolve(text));
        socket.on('error', reject);
      });
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ code: 'invalid_request' });
    } finally {
      await server.close();
    }
  });

  it('stops over a wrong configuration with one line for each problem', async () => {
    const outcome = await new Promise<{ code: unknown; stderr: string; stdout: string }>((resolve) => {
      const env = { PATH: process.env['PATH'] ?? '', DATABASE_URL: 'mysql://x', PORT: '99999999' };
      execFile(process.execPath, [ENTRY], { env }, (error, stdout, stderr) =>
        resolve({ code: error?.code, stdout, stderr }),
      );
    });
    expect(outcome.code).toBe(1);
    const lines = outcome.stderr.trim().split('\n');
    expect(new Set(lines.map((line) => line.split(' ')[1]))).toEqual(
      new Set([
        'ACCESS_TOKEN_KEY',
        'BLIND_INDEX_KEY',
        'CONTENT_ENCRYPTION_KEYS',
        'DATABASE_URL',
        'KEY_ENCRYPTION_KEYS',
        'MEDIA_LINK_KEY',
        'MEDIA_STORE',
        'PORT',
        'PUBLIC_URL',
      ]),
    );
    expect(lines).toHaveLength(9);
    expect(outcome.stderr).not.toContain('    at ');
  });

  it('ends in order on SIGTERM', async () => {
    const env = {
      PATH: process.env['PATH'] ?? '',
      DATABASE_URL: database.url,
      SHARE_TOKEN_KEYS: KEYS,
      ...testContentEnv(),
      PORT: '0',
      TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}`,
    };
    const child = execFile(process.execPath, [ENTRY], { env });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    try {
      const url = await new Promise<string>((resolve, reject) => {
        let text = '';
        child.stdout?.on('data', (chunk: string) => {
          text += chunk;
          const listening = text.split('\n').find((line) => line.includes('"listening"'));
          if (listening !== undefined) resolve((JSON.parse(listening) as { url: string }).url);
        });
        void ended.then((code) => reject(new Error(`ended early with ${code}`)));
      });
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
