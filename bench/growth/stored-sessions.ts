import { randomInt } from 'node:crypto';
import type { Pool } from 'pg';
import { addBrands, type BenchBrand } from '../brands.ts';
import { percentile } from '../frame.ts';
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
type Verb = (typeof VERBS)[number];
/** Of each call, in milliseconds. */
type Latencies = Readonly<Record<Verb, readonly number[]>>;

/** Turns that each size takes in a round, so that whatever else happens meanwhile happens to all of them. */
const TURNS = 4;

/**
 * How long a call takes, one at a time, where an application has many sessions: minting of any of them, importing into it,
 * and the first page of its list. Each size has a database and a server of its own, so that they can take turns.
 */
export async function measureStoredSessions(lab: Lab) {
  const wanted = lab.quick ? [1_000, 100_000] : [1_000, 100_000, 1_000_000];
  const sizes = wanted.map((full) => amount({ ...lab, quick: false }, { full, quick: full }));
  const perTurn = amount(lab, { full: 50, quick: 15 });
  const filled: Filled[] = [];
  for (const size of sizes) filled.push(await fill(lab, size, perTurn * (lab.rounds * TURNS + 1)));
  for (const one of filled) await turn(one, perTurn);

  const figures: Record<string, number[]> = {};
  const p50s = (name: string, verb: Verb) => (figures[`growth_${verb}_at_${name}_p50Ms`] ??= []);
  for (let round = 1; round <= lab.rounds; round += 1) {
    const turns = new Map<Filled, Latencies[]>(filled.map((one) => [one, []]));
    for (let number = 0; number < TURNS; number += 1) {
      for (const one of number % 2 === 0 ? filled : filled.toReversed()) turns.get(one)?.push(await turn(one, perTurn));
    }
    for (const [{ name }, latencies] of turns) {
      for (const verb of VERBS)
        p50s(name, verb).push(
          percentile(
            latencies.flatMap((each) => each[verb]),
            0.5,
          ),
        );
      const shown = VERBS.map((verb) => `${verb} ${p50s(name, verb).at(-1)?.toFixed(2)} ms`);
      lab.say(`round ${round} of ${lab.rounds}, ${name} sessions: p50 of ${shown.join(', ')}`);
    }
  }
  const [least, most] = [filled[0]?.name ?? '', filled.at(-1)?.name ?? ''];
  const ratio = (verb: Verb) => p50s(most, verb).map((p50, round) => p50 / (p50s(least, verb)[round] ?? Number.NaN));
  return { ratios: Object.fromEntries(VERBS.map((verb) => [`growth_${verb}`, ratio(verb)])), figures };
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
  return { mint: minting.latencies, import: importing.latencies, list: listing.latencies };
}

/** Ids of so many different sessions of a brand, picked from all of them. */
export async function anySessions(pool: Pool, brand: BenchBrand, count: number): Promise<string[]> {
  const { rows: counters } = await pool.query<{ living: number }>(
    `select living::float8 as living from session_counter where application_id = $1 and session_kind = 'user'`,
    [brand.id],
  );
  const living = counters[0]?.living ?? 0;
  if (count > living) throw new Error(`${count} sessions are wanted, and ${living} are stored`);
  const numbers = new Set<number>();
  while (numbers.size < count) numbers.add(1 + randomInt(living));
  const { rows } = await pool.query<{ id: string }>(
    `select session_id as id from unnest($2::bigint[]) as wanted(number)
     join session on application_id = $1 and session_kind = 'user' and session_number = wanted.number`,
    [brand.id, [...numbers]],
  );
  return rows.map(({ id }) => id);
}
