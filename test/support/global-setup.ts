import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';
import type { TestProject } from 'vitest/node';
import { startDevTemporal } from '../../src/dev/dev-temporal.ts';
import { createDatabase, dropDatabase, startEmbeddedPostgres } from '../../src/dev/embedded-database.ts';
import { findTemporalBinary } from '../../src/dev/temporal-binaries.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { installTestClock } from './test-clock.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser's URL of the tests' Postgres, database `postgres`. */
    postgresAdminUrl: string;
    /** A migrated database with the shiftable clock, to be copied; never connect to it. */
    templateDatabase: string;
    /** `host:port` of a real dev server, namespace `default`, our search attributes registered. */
    temporalAddress: string;
    /** Path of the Temporal CLI, for tests that stop and start a server of their own. */
    temporalCliPath: string;
    /** Path of the time-skipping test server. */
    testServerPath: string;
    /** File with the bundled workflow code, for `workflowBundle: { codePath }`. */
    bundlePath: string;
  }
}

/**
 * Starts what the test files share, once per run: Postgres (or `TEST_DATABASE_URL`), a Temporal dev server (or
 * `TEMPORAL_ADDRESS`), and the bundle of the workflow code. Whatever was started ends with the run, also on a signal.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'handoff-test-'));
  // Postgres runs under another account when the tests run as root.
  await chmod(folder, 0o711);
  // What tests put down for a while goes with it.
  process.env['TMPDIR'] = folder;
  const cleanups: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  let cleaning: Promise<void> | undefined;
  const cleanUp = (): Promise<void> => (cleaning ??= runBackwards(cleanups));
  // vitest leaves at once on a signal: the servers then end with this process, and only their files are left to remove.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

  const started = await Promise.allSettled([
    preparePostgres(project, folder, cleanups),
    prepareTemporal(project, folder, cleanups),
    findTemporalBinary('test-server', { report: console.log }).then((path) => project.provide('testServerPath', path)),
    bundleWorkflows(project, folder),
  ]);
  const failures = started.filter((outcome) => outcome.status === 'rejected').map((outcome) => outcome.reason as Error);
  if (failures.length > 0) {
    await cleanUp();
    throw new AggregateError(failures, failures.map((failure) => failure.message).join('\n'));
  }
  return cleanUp;
}

type Cleanups = (() => Promise<void>)[];

async function preparePostgres(project: TestProject, folder: string, cleanups: Cleanups): Promise<void> {
  let adminUrl = process.env['TEST_DATABASE_URL'];
  if (!adminUrl) {
    const postgres = await startEmbeddedPostgres({ dataFolder: join(folder, 'postgres'), durable: false });
    cleanups.push(() => postgres.stop());
    adminUrl = postgres.url('postgres');
  }
  const admin = adminUrl;
  const template = `handoff_template_${randomBytes(6).toString('hex')}`;
  await createDatabase(admin, template);
  cleanups.push(() => dropDatabase(admin, template));
  const templateUrl = new URL(admin);
  templateUrl.pathname = template;
  await migrate(templateUrl.href);
  await installTestClock(templateUrl.href);
  project.provide('postgresAdminUrl', admin);
  project.provide('templateDatabase', template);
}

async function prepareTemporal(project: TestProject, folder: string, cleanups: Cleanups): Promise<void> {
  const binary = await findTemporalBinary('cli', { report: console.log });
  project.provide('temporalCliPath', binary);
  let address = process.env['TEMPORAL_ADDRESS'];
  if (!address) {
    const server = await startDevTemporal({ binary, headless: true, logFile: join(folder, 'temporal.log') });
    cleanups.push(() => server.stop());
    address = server.address;
  }
  project.provide('temporalAddress', address);
}

async function bundleWorkflows(project: TestProject, folder: string): Promise<void> {
  const workflowsPath = fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url));
  const payloadConverterPath = fileURLToPath(new URL('../../src/workflows/payload-converter.ts', import.meta.url));
  const bundlePath = join(folder, 'workflow-bundle.js');
  project.provide('bundlePath', bundlePath);
  const { code } = await bundleWorkflowCode({ workflowsPath, payloadConverterPath, logger: new DefaultLogger('WARN') });
  await writeFile(bundlePath, code);
}

async function runBackwards(cleanups: Cleanups): Promise<void> {
  for (const cleanup of cleanups.toReversed()) {
    await cleanup().catch((error: unknown) => console.error('Cleaning up after the tests:', error));
  }
}
