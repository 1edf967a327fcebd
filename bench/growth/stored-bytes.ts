import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Pool } from 'pg';
import type { JsonObject } from '../../src/domain/json.ts';
import { addBrands, type BenchBrand } from '../brands.ts';
import { openCalls, type HttpCalls } from '../http-calls.ts';
import { inFlight } from '../in-flight.ts';
import { amount, environment, openDatabase, startServer, type Lab } from '../lab.ts';
import { documentWithPicture, smallDocument } from './small-document.ts';

const AT_A_TIME = 16;
const PICTURE_BYTES = 100_000;

/**
 * What a session and a clone of it take, in bytes: of the database with its indexes, and of the store of files. A clone's are
 * all that its share leaves behind: token, redemption, events, outbox and the new session.
 */
export async function measureBytes(lab: Lab): Promise<Record<string, number[]>> {
  const small = amount(lab, { full: 2_000, quick: 400 });
  const pictured = amount(lab, { full: 200, quick: 50 });
  return {
    ...(await measure(lab, 'small', small, smallDocument)),
    ...(await measure(lab, 'with_media', pictured, (name) => documentWithPicture(name, PICTURE_BYTES))),
  };
}

async function measure(
  lab: Lab,
  kind: string,
  count: number,
  documentOf: (name: string) => JsonObject,
): Promise<Record<string, number[]>> {
  const database = await openDatabase(lab);
  const store = join(lab.folder, `store-${kind}`);
  mkdirSync(store);
  const env = environment(lab, database, { MEDIA_STORE: `file://${store}` });
  const server = await startServer(lab, env);
  const calls = openCalls(lab, server.url, AT_A_TIME);
  const [issuer, partner] = await addBrands(database.url, 2);
  if (issuer === undefined || partner === undefined) throw new Error('two brands were made');
  // The first rows give every table and index its first pages.
  await shareAll(calls, { issuer, partner }, await takeInAll(calls, issuer, 'first', AT_A_TIME, documentOf));

  const before = await sizes(database.pool, store);
  const sessions = await takeInAll(calls, issuer, 'then', count, documentOf);
  const taken = await sizes(database.pool, store);
  await shareAll(calls, { issuer, partner }, sessions);
  const shared = await sizes(database.pool, store);
  await server.stop();
  return {
    [`session_${kind}_database_bytes`]: [(taken.database - before.database) / count],
    [`session_${kind}_store_bytes`]: [(taken.store - before.store) / count],
    [`clone_${kind}_database_bytes`]: [(shared.database - taken.database) / count],
    [`clone_${kind}_store_bytes`]: [(shared.store - taken.store) / count],
  };
}

async function takeInAll(
  calls: HttpCalls,
  issuer: BenchBrand,
  name: string,
  count: number,
  documentOf: (name: string) => JsonObject,
): Promise<string[]> {
  const names = Array.from({ length: count }, (_, at) => `${name}-${at}`);
  const { results } = await inFlight(names, AT_A_TIME, async (one) =>
    String((await calls.call(issuer, 'POST', '/v1/sessions/', documentOf(one)))['session_id']),
  );
  return results;
}

/** Mints a token for each and redeems it. */
async function shareAll(
  calls: HttpCalls,
  { issuer, partner }: { readonly issuer: BenchBrand; readonly partner: BenchBrand },
  sessions: readonly string[],
): Promise<void> {
  await inFlight(sessions, AT_A_TIME, async (sessionId) => {
    const order = { for_application_id: partner.id, ttl_in_seconds: 3_600 };
    const minted = await calls.call(issuer, 'POST', `/v3/session/${sessionId}/share/`, order);
    const redeem = { share_token: String(minted['share_token']), trust_review: true, vendor_data: `of-${sessionId}` };
    await calls.call(partner, 'POST', '/v3/session/import-shared/', redeem);
  });
}

/** Tables with their indexes; what lies about of former versions of rows counts, as it does for whoever pays for the disk. */
async function sizes(pool: Pool, store: string): Promise<{ database: number; store: number }> {
  const { rows } = await pool.query<{ bytes: number }>(
    `select sum(pg_total_relation_size(oid))::float8 as bytes from pg_class
     where relkind = 'r' and relnamespace = 'public'::regnamespace`,
  );
  return { database: rows[0]?.bytes ?? 0, store: bytesIn(store) };
}

function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
