import { expect, it } from 'vitest';
import { testDatabase } from './database.ts';
import { FIXTURE_PLACE, readableIn, readableTables } from './fixture-canaries.ts';

const database = testDatabase();

it('personal data of the tests’ documents is found in a database, in texts and in bytes', async () => {
  expect(await readableTables(database.pool)).toEqual([]);
  await database.pool.query('create table planted (t text); create table planted_bytes (b bytea)');
  await database.pool.query('insert into planted values ($1)', [`born in ${FIXTURE_PLACE}`]);
  await database.pool.query('insert into planted_bytes values ($1)', [Buffer.from('"Ferrándiz Ibáñez"')]);
  expect(await readableTables(database.pool)).toEqual([`planted: ${FIXTURE_PLACE}`, 'planted_bytes: Ferrándiz Ibáñez']);
  await database.pool.query('drop table planted, planted_bytes');
});

it('and in a history, where payloads are base64', () => {
  expect(readableIn(Buffer.from(`x{"n":"BXX041791","place":"${FIXTURE_PLACE}"}`).toString('base64'))).toContain(
    FIXTURE_PLACE,
  );
});
