import { randomInt } from 'node:crypto';
import type { Pool } from 'pg';
import { addBrands, type BenchBrand } from '../brands.ts';
import { percentile, race } from '../frame.ts';
import { openCalls, type HttpCalls } from '../http-calls.ts';
import { inFlight } from '../in-flight.ts';
import { amount, environment, openDatabase, startServer, type Lab } from '../lab.ts';
import { fillSessions } from './fill.ts';
import { smallDocument } from './small-document.ts';

/** Sessions that an application takes in itself, to be copied from. */
const SOURCES = 20;

/** A server, and a brand that has so many sessions. */
interface Filled {
  readonly name: string;
  readonly calls: HttpCalls;
  readonly pool: Pool;
  /** Of the sessions. */
  readonly brand: BenchBrand;
  /** Shares with it. */
  readonly issuer: BenchBrand;
  /** Sessions of the issuer that were not shared yet. */
  readonly toShare: string[];
  readonly partner: BenchBrand;
}

const VERBS = ['mint', 'import', 'list'] as const;
type Latencies = Readonly<Record<`${(typeof VERBS)[number]}P50Ms`, number>>;

/**
 * How long a call takes, one at a time, where an application has many sessions: minting of any of them, importing into it,
 * and the first page of its list. Each size has a database and a server of its own, so that they can take turns.
 */
export async function measureStoredSessions(lab: Lab) {
  const wanted = lab.quick ? [1_000, 100_000] : [1_000, 100_000, 1_000_000];
  const sizes = wanted.map((full) => amount({ ...lab, quick: false }, { full, quick: full }));
  const perTurn = amount(lab, { full: 150, quick: 60 });
  const filled: Filled[] = [];
  for (const size of sizes) filled.push(await fill(lab, size, perTurn * (lab.rounds + 1)));
  for (const one of filled) await turn(one, perTurn);

  const contenders = Object.fromEntries(filled.map((one) => [one.name, () => turn(one, perTurn)]));
  const rounds = await race<string, Latencies>(lab, contenders);
  const [least, most] = [filled[0]?.name ?? '', filled.at(-1)?.name ?? ''];
  const p50s = (name: string, verb: (typeof VERBS)[number]) =>
    rounds.map((round) => round[name]?.[`${verb}P50Ms`] ?? Number.NaN);
  return {
    ratios: Object.fromEntries(
      VERBS.map((verb) => {
        const [small, large] = [p50s(least, verb), p50s(most, verb)];
        return [`growth_${verb}`, large.map((p50, round) => p50 / (small[round] ?? Number.NaN))];
      }),
    ),
    figures: Object.fromEntries(
      filled.flatMap(({ name }) => VERBS.map((verb) => [`growth_${verb}_at_${name}_p50Ms`, p50s(name, verb)])),
    ),
  };
}

async function fill(lab: Lab, size: number, toShare: number): Promise<Filled> {
  const database = await openDatabase(lab);
  const server = await startServer(lab, environment(lab, database));
  const calls = openCalls(lab, server.url, 8);
  const [brand, issuer, partner] = await addBrands(database.url, 3);
  if (brand === undefined || issuer === undefined || partner === undefined) throw new Error('three brands were made');
  for (const [owner, count] of [
    [issuer, toShare],
    [brand, size],
  ] as const) {
    const first = Array.from({ length: Math.min(SOURCES, count) }, (_, at) => `${size}-${at}`);
    await inFlight(first, 4, (name) => calls.call(owner, 'POST', '/v1/sessions/', smallDocument(name)));
    await fillSessions(database.pool, owner.id, count);
  }
  lab.say(`${size} sessions are stored`);
  const { rows } = await database.pool.query<{ id: string }>(
    'select session_id as id from session where application_id = $1',
    [issuer.id],
  );
  const shareable = rows.map(({ id }) => id);
  return { name: String(size), calls, pool: database.pool, brand, issuer, partner, toShare: shareable };
}

async function turn({ calls, pool, brand, issuer, partner, toShare }: Filled, count: number): Promise<Latencies> {
  const own = await anySessions(pool, brand, count);
  const mint = (by: BenchBrand, of: BenchBrand) => async (sessionId: string) => {
    const order = { for_application_id: of.id, ttl_in_seconds: 3_600 };
    return String((await calls.call(by, 'POST', `/v3/session/${sessionId}/share/`, order))['share_token']);
  };
  const { results: tokens } = await inFlight(toShare.splice(0, count), 4, mint(issuer, brand));
  const minting = await inFlight(own, 1, mint(brand, partner));
  const importing = await inFlight(tokens, 1, async (token) => {
    const redeem = { share_token: token, trust_review: true, vendor_data: `from-issuer-${randomInt(2 ** 40)}` };
    await calls.call(brand, 'POST', '/v3/session/import-shared/', redeem);
  });
  const listing = await inFlight(own, 1, async () => {
    const page = await calls.call(brand, 'GET', '/v3/sessions/');
    if (!Array.isArray(page['results']) || page['results'].length === 0) throw new Error('the list shows sessions');
  });
  return {
    mintP50Ms: percentile(minting.latencies, 0.5),
    importP50Ms: percentile(importing.latencies, 0.5),
    listP50Ms: percentile(listing.latencies, 0.5),
  };
}

/** Any of a brand's sessions, wherever they lie. */
async function anySessions(pool: Pool, brand: BenchBrand, count: number): Promise<string[]> {
  const { rows: numbers } = await pool.query<{ number: number }>(
    `select (1 + floor(random() * living))::float8 as number from session_counter, generate_series(1, $2)
     where application_id = $1 and session_kind = 'user'`,
    [brand.id, count],
  );
  const { rows } = await pool.query<{ id: string }>(
    `select session_id as id from unnest($2::bigint[]) as wanted(number)
     join session on application_id = $1 and session_kind = 'user' and session_number = wanted.number`,
    [brand.id, numbers.map(({ number }) => number)],
  );
  return rows.map(({ id }) => id);
}
