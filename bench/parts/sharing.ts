import type { Pool } from 'pg';
import { readSample } from '../../test/support/brands.ts';
import { addBrands, type BenchBrand } from '../brands.ts';
import { startDirect, type RedeemCall } from '../direct.ts';
import { figuresOfRounds, race, type Contender, type Part } from '../frame.ts';
import { openCalls, type HttpCalls } from '../http-calls.ts';
import { inFlight, rateOf, type Rate, type Timing } from '../in-flight.ts';
import { amount, environment, openDatabase, startServer, type Lab } from '../lab.ts';
import { makingRows, rowsOf } from '../made-rows.ts';
import { until } from '../until.ts';

/** Under way at once, for both contenders. */
const CONNECTIONS = 32;
const ISSUERS = 8;
const PARTNERS = 8;
const TTL_SECONDS = 86_400;

/** A session that is to be shared, and with whom. Every pair is another. */
interface Pair {
  readonly issuer: BenchBrand;
  readonly partner: BenchBrand;
  readonly sessionId: string;
}

/** A minted token; the direct contender needs no text of it. */
interface Token extends Pair {
  readonly tokenId: string;
  readonly kid: string;
  readonly text: string | null;
}

/** Mint and import over HTTP against the verbs on the same database, called from a process of its own. */
export const sharing: Part = {
  name: 'sharing',
  shows: 'mint and import over HTTP, 32 connections, against the same SQL called directly',
  run: async (lab) => {
    const database = await openDatabase(lab);
    const env = environment(lab, database);
    const size = {
      mint: amount(lab, { full: 4_000, quick: 600 }),
      import: amount(lab, { full: 2_000, quick: 220 }),
    };
    // For both contenders, with a turn each to warm up.
    const count = 2 * (lab.rounds + 1) * Math.max(size.mint, size.import);
    // By a server of its own, so that neither contender has worked before.
    const intake = await startServer(lab, env);
    const pairs = await preparePairs(lab, database.url, openCalls(lab, intake.url, CONNECTIONS), count);
    await intake.stop();
    const server = await startServer(lab, env);
    const direct = startDirect(lab, env);
    const calls = openCalls(lab, server.url, CONNECTIONS);
    const take = (count: number) => pairs.splice(0, count);
    const tokens: Record<'http' | 'sql', Token[]> = { http: [], sql: [] };
    const settled = () => dispatched(database.pool);

    const mint = {
      http: async (count: number) => {
        const { results, ...timing } = await inFlight(take(count), CONNECTIONS, (pair) => mintByHttp(calls, pair));
        tokens.http.push(...results);
        return timing;
      },
      sql: async (count: number) => {
        const wanted = take(count);
        const { minted, ...timing } = await direct.mint(wanted.map(orderOf), CONNECTIONS);
        tokens.sql.push(
          ...minted.map(({ tokenId, kid }, at) => ({ ...(wanted[at] as Pair), tokenId, kid, text: null })),
        );
        return timing;
      },
    };
    const redeem = {
      http: (count: number) =>
        inFlight(tokens.http.splice(0, count), CONNECTIONS, (token) => importByHttp(calls, token)),
      sql: (count: number) => direct.import(tokens.sql.splice(0, count).map(callOf), CONNECTIONS),
    };
    const turn =
      (does: (count: number) => Promise<Timing>, table: string, count: number): Contender<Rate> =>
      async () =>
        rateOf(
          await makingRows(database.pool, table, count, async () => {
            const timing = await does(count);
            await settled();
            return timing;
          }),
        );

    // As much as a turn, for each alike.
    for (const does of [mint.http, mint.sql]) await does(size.mint);
    for (const does of [redeem.http, redeem.sql]) await does(size.import);
    await settled();
    lab.say('mint');
    const mints = await race(lab, {
      http: turn(mint.http, 'share_token', size.mint),
      sql: turn(mint.sql, 'share_token', size.mint),
    });
    lab.say('import');
    const imports = await race(lab, {
      http: turn(redeem.http, 'redemption', size.import),
      sql: turn(redeem.sql, 'redemption', size.import),
    });
    const ratio = ({ http, sql }: (typeof mints)[number]) => http.perSecond / sql.perSecond;
    return {
      ratios: { mint_http_vs_sql: mints.map(ratio), import_http_vs_sql: imports.map(ratio) },
      figures: { ...figuresOfRounds('mint', mints), ...figuresOfRounds('import', imports) },
    };
  },
};

/**
 * Takes sessions in and pairs each with every partner, so that calls that follow each other are of other issuers, partners
 * and sessions.
 */
async function preparePairs(lab: Lab, databaseUrl: string, calls: HttpCalls, count: number): Promise<Pair[]> {
  const brands = await addBrands(databaseUrl, ISSUERS + PARTNERS);
  const issuers = brands.slice(0, ISSUERS);
  const partners = brands.slice(ISSUERS);
  // A multiple of the partners, for what follows.
  const perIssuer = PARTNERS * Math.ceil(count / (ISSUERS * PARTNERS * PARTNERS));
  const document = readSample('kyc-approved');
  lab.say(`taking in ${ISSUERS * perIssuer} sessions`);
  const wanted = Array.from({ length: ISSUERS * perIssuer }, (_, at) => at);
  const { results: sessions } = await inFlight(wanted, CONNECTIONS, async (at) => {
    const body = { ...document, external_id: `session-${at}`, vendor_data: `customer-${at}` };
    return String((await calls.call(issuers[at % ISSUERS] as BenchBrand, 'POST', '/v1/sessions/', body))['session_id']);
  });
  return Array.from({ length: count }, (_, at) => {
    const [issuer, row] = [at % ISSUERS, Math.floor(at / ISSUERS)];
    const [session, lap] = [row % perIssuer, Math.floor(row / perIssuer)];
    return {
      issuer: issuers[issuer] as BenchBrand,
      partner: partners[(session + lap) % PARTNERS] as BenchBrand,
      sessionId: sessions[session * ISSUERS + issuer] as string,
    };
  });
}

async function mintByHttp(calls: HttpCalls, pair: Pair): Promise<Token> {
  const { issuer, partner, sessionId } = pair;
  const body = { for_application_id: partner.id, ttl_in_seconds: TTL_SECONDS };
  const { share_token: text } = await calls.call(issuer, 'POST', `/v3/session/${sessionId}/share/`, body);
  return { ...pair, tokenId: '', kid: '', text: String(text) };
}

function orderOf({ issuer, partner, sessionId }: Pair) {
  return { issuerId: issuer.id, partnerId: partner.id, sessionId, ttlSeconds: TTL_SECONDS };
}

/** The importer's own number for the person. */
const vendorDataOf = ({ sessionId }: Pair) => `customer-${sessionId}`;

async function importByHttp(calls: HttpCalls, token: Token): Promise<void> {
  const body = { share_token: token.text, trust_review: true, vendor_data: vendorDataOf(token) };
  await calls.call(token.partner, 'POST', '/v3/session/import-shared/', body);
}

function callOf(token: Token): RedeemCall {
  const { tokenId, kid, partner } = token;
  return { tokenId, kid, partnerId: partner.id, choice: { trustReview: true, vendorData: vendorDataOf(token) } };
}

/** Until what follows a commit is done, so that it is no burden of the next turn. */
async function dispatched(pool: Pool): Promise<void> {
  await until('an empty outbox', async () => (await rowsOf(pool, 'outbox')) === 0);
}
