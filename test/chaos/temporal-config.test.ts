import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configuration, freePorts } from '../../chaos/temporal-config.ts';
import { programsIn } from '../../chaos/temporal-on-postgres.ts';

test('each service has ports of its own, and both stores are in the Postgres that was named', async () => {
  const ports = await freePorts();
  const all = Object.values(ports).flatMap(({ grpcPort, membershipPort }) => [grpcPort, membershipPort]);
  expect(new Set(all).size).toBe(8);
  const postgres = new URL('postgres://postgres:p%3Aw@127.0.0.1:5433/postgres');
  const sql = { connectAddr: '127.0.0.1:5433', user: 'postgres', password: 'p:w', pluginName: 'postgres12' };
  expect(configuration(postgres, ports, '/dynamic.yaml')).toMatchObject({
    persistence: {
      defaultStore: 'default',
      visibilityStore: 'visibility',
      datastores: {
        default: { sql: { ...sql, databaseName: 'temporal' } },
        visibility: { sql: { ...sql, databaseName: 'temporal_visibility' } },
      },
    },
    services: { frontend: { rpc: ports.frontend }, history: { rpc: ports.history } },
    clusterMetadata: { clusterInformation: { active: { rpcAddress: `127.0.0.1:${ports.frontend.grpcPort}` } } },
    dynamicConfigClient: { filepath: '/dynamic.yaml' },
  });
});

test('both programs must be there, and be programs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'handoff-programs-'));
  try {
    writeFileSync(join(folder, 'server'), '', { mode: 0o700 });
    expect(() => programsIn(folder)).toThrow(/sql/);
    writeFileSync(join(folder, 'sql'), '', { mode: 0o700 });
    expect(programsIn(folder)).toEqual({ server: join(folder, 'server'), sql: join(folder, 'sql') });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
