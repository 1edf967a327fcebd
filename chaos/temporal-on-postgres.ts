import { execFile } from 'node:child_process';
import { accessSync, constants, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Connection } from '@temporalio/client';
import { startChild } from '../src/dev/child-process.ts';
import { createDatabase, startEmbeddedPostgres } from '../src/dev/embedded-database.ts';
import { SEARCH_ATTRIBUTES } from '../src/domain/temporal-names.ts';
import { startKillable } from './killable.ts';
import type { TemporalServer } from './rig.ts';
import { configuration, DATABASES, DYNAMIC_CONFIGURATION, freePorts } from './temporal-config.ts';

/** Programs of the real server, as `go install` names them. */
export interface TemporalPrograms {
  readonly server: string;
  readonly sql: string;
}

/** As the dev server has it. */
const NAMESPACE = 'default';
/** Longer than any run of the rig. */
const RETENTION_SECONDS = 3 * 86_400;

/** Types of search attributes as `addSearchAttributes` numbers them. */
const INDEXED_VALUE_TYPE = { Keyword: 2, Datetime: 6 } as const;

/** @throws {Error} when one of them is not there, or can't be run */
export function programsIn(folder: string): TemporalPrograms {
  const programs = { server: join(folder, 'server'), sql: join(folder, 'sql') };
  for (const program of Object.values(programs)) accessSync(program, constants.X_OK);
  return programs;
}

/**
 * Starts the real Temporal server, all four services in one process, on a Postgres of its own. Killing and starting it
 * again leaves that Postgres alone.
 *
 * @param folder data and configuration are kept below it
 */
export async function startTemporalOnPostgres(
  folder: string,
  programs: TemporalPrograms,
): Promise<TemporalServer & { stop(): Promise<void> }> {
  const postgres = await startEmbeddedPostgres({ dataFolder: join(folder, 'temporal-postgres'), durable: true });
  const url = new URL(postgres.url('postgres'));
  for (const name of Object.keys(DATABASES)) await prepare(name as keyof typeof DATABASES);

  const ports = await freePorts();
  const [configFile, dynamicFile] = [join(folder, 'temporal.yaml'), join(folder, 'temporal-dynamic.yaml')];
  // JSON is YAML. The first holds the password of its Postgres.
  writeFileSync(configFile, JSON.stringify(configuration(url, ports, dynamicFile)), { mode: 0o600 });
  writeFileSync(dynamicFile, JSON.stringify(DYNAMIC_CONFIGURATION));
  const address = `127.0.0.1:${ports.frontend.grpcPort}`;
  const start = () =>
    startChild({
      name: 'The Temporal server',
      command: programs.server,
      args: ['--config-file', configFile, '--allow-no-auth', 'start'],
      logFile: join(folder, 'logs', 'temporal.log'),
      ready: () => answers(address),
      readyWithinMs: 120_000,
      graceMs: 30_000,
    });
  const { killable } = await startKillable(start);

  async function prepare(store: keyof typeof DATABASES): Promise<void> {
    const database = DATABASES[store];
    await createDatabase(url.href, database);
    const connection = ['--plugin', 'postgres12', '--endpoint', url.hostname, '--port', url.port, '--db', database];
    const run = (...args: string[]) =>
      promisify(execFile)(programs.sql, [...connection, ...args], {
        env: { ...process.env, SQL_USER: url.username, SQL_PASSWORD: decodeURIComponent(url.password) },
      });
    const schema = `postgresql/v12/${store === 'default' ? 'temporal' : 'visibility'}`;
    await run('setup-schema', '--version', '0.0');
    await run('update-schema', '--schema-name', schema);
  }

  return {
    address,
    databases: Object.values(DATABASES).map((name) => postgres.url(name)),
    ...killable,
    stop: async () => {
      await killable.stop();
      await postgres.stop();
    },
  };
}

/** Whether it answers for our namespace, which is made when it is missing, with our search attributes. */
async function answers(address: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: '1s' });
  try {
    const { namespaces } = await connection.workflowService.listNamespaces({});
    if (!namespaces.some(({ namespaceInfo }) => namespaceInfo?.name === NAMESPACE)) {
      await connection.workflowService.registerNamespace({
        namespace: NAMESPACE,
        workflowExecutionRetentionPeriod: { seconds: RETENTION_SECONDS as unknown as Long },
      });
    }
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: NAMESPACE });
    const missing = Object.entries(SEARCH_ATTRIBUTES).filter(([name]) => !(name in customAttributes));
    if (missing.length > 0) {
      const searchAttributes = Object.fromEntries(missing.map(([name, type]) => [name, INDEXED_VALUE_TYPE[type]]));
      await connection.operatorService.addSearchAttributes({ namespace: NAMESPACE, searchAttributes });
      return false;
    }
    // As workers and clients ask: by what the services remember of namespaces.
    await connection.workflowService.countWorkflowExecutions({ namespace: NAMESPACE });
    return true;
  } finally {
    await connection.close();
  }
}

/** Seconds as protobuf has them; a number will do. */
type Long = NonNullable<
  NonNullable<
    Parameters<Connection['workflowService']['registerNamespace']>[0]['workflowExecutionRetentionPeriod']
  >['seconds']
>;
