import { randomBytes } from 'node:crypto';
import { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, inject } from 'vitest';
import { createDatabase, dropDatabase } from '../../src/dev/embedded-database.ts';
import { readableTables } from './fixture-canaries.ts';

export { resetClock, shiftClock } from './test-clock.ts';

/** A test file's own database. Both may be used from `beforeAll` on. */
export interface TestDatabase {
  /** Connection URL of the superuser. */
  readonly url: string;
  readonly pool: Pool;
}

/**
 * Gives the calling test file (or `describe`) a database of its own: a copy of the migrated template, with a clock that
 * `shiftClock` moves. It is dropped afterwards, unless a test failed: then it stays to be looked at, as long as its
 * server runs (set `TEST_DATABASE_URL` for one that stays). Personal data of the tests' documents that can be read in it
 * without a key fails the file.
 */
export function testDatabase(): TestDatabase {
  const name = `handoff_test_${randomBytes(6).toString('hex')}`;
  let opened: TestDatabase | undefined;
  let failed = false;
  const database = (): TestDatabase => {
    if (opened === undefined) throw new Error('The test database is there from beforeAll on');
    return opened;
  };

  beforeAll(async () => {
    const adminUrl = inject('postgresAdminUrl');
    await createDatabase(adminUrl, name, inject('templateDatabase'));
    const url = new URL(adminUrl);
    url.pathname = name;
    const pool = new Pool({ connectionString: url.href, max: 10 });
    pool.on('error', () => undefined);
    opened = { url: url.href, pool };
  });
  afterEach(({ task }) => {
    failed ||= task.result?.state === 'fail';
  });
  afterAll(async () => {
    const readable = failed || opened === undefined ? [] : await readableTables(opened.pool);
    failed ||= readable.length > 0;
    await opened?.pool.end();
    if (failed) console.log(`Kept the database ${name} of the failed tests`);
    else await dropDatabase(inject('postgresAdminUrl'), name);
    if (readable.length > 0) throw new Error(`personal data that can be read in ${name}: ${readable.join(', ')}`);
  });

  return {
    get url() {
      return database().url;
    },
    get pool() {
      return database().pool;
    },
  };
}
