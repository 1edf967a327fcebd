import { Agent } from 'undici';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Brand } from '../../test/support/brands.ts';
import { quantile } from '../../torture/api-server.ts';
import { same, type Part, type Row } from '../../torture/part.ts';
import { tokenIdOf } from '../stories.ts';
import { inFlight } from './in-flight.ts';
import { inLab } from './in-lab.ts';
import { openLabStack, type LabStack } from './lab-stack.ts';

/** How many tries at how many tokens, over how many connections. */
interface Size {
  readonly connections: readonly number[];
  readonly triesAtOne: number;
  readonly tokens: number;
}

const QUICK: Size = { connections: [64], triesAtOne: 1_000, tokens: 200 };
const LONG: Size = { connections: [64, 512], triesAtOne: 10_000, tokens: 10_000 };
const TRIES_EACH = 5;

const IMPORTED = '201';
const AGAIN = '403 already_imported';

const storms: Part = {
  name: 'storms',
  shows: 'as many imports at once as there are connections, over two server processes',
  run: async (lab) => {
    const { connections, triesAtOne, tokens } = lab.quick ? QUICK : LONG;
    const stack = await openLabStack(lab, { servers: 2 });
    const [issuer, partner] = [
      await stack.brands.add({ destination: false }),
      await stack.brands.add({ destination: false }),
    ];
    const rows: Row[] = [];
    for (const count of connections) {
      const crowd = openCrowd(stack, count);
      lab.onEnd(() => crowd.close());
      for (const [distinct, each] of [
        [1, triesAtOne],
        [tokens, TRIES_EACH],
      ] as const) {
        lab.say(`F15: ${distinct} tokens × ${each} tries over ${count} connections`);
        const made = await crowd.mint(issuer, partner, distinct);
        rows.push(...(await storm(stack, crowd, partner, { texts: made, each, connections: count })));
      }
    }
    // A session tells of its deadlocks when it ends.
    for (const server of stack.servers) await server.stop();
    const { rows: found } = await stack.database.pool.query<{ deadlocks: number }>(
      'select deadlocks::int as deadlocks from pg_stat_database where datname = current_database()',
    );
    return [...rows, same('deadlocks', found[0]?.deadlocks ?? Number.NaN, 0)];
  },
};

/** Simultaneous imports: of one token, and of many, each tried several times. */
export const importStorm = inLab(
  { id: 'F15', what: '10,000 imports of one token, and 10,000 tokens × 5 tries, over 64 and 512 connections' },
  storms,
);

interface Crowd {
  /** Takes sessions in and mints a token of each. */
  mint(issuer: Brand, partner: Brand, count: number): Promise<string[]>;
  /** The nth import, over the servers in turn: `201`, or the status and code of what else came. */
  tryImport(nth: number, partner: Brand, text: string): Promise<string>;
  close(): Promise<void>;
}

/** Clients with this many connections to all servers together, each used by one call at a time. */
function openCrowd({ servers }: LabStack, connections: number): Crowd {
  const agent = new Agent({ connections: connections / servers.length, pipelining: 1 });
  const call = async (nth: number, as: Brand, path: string, body: JsonObject) => {
    const { statusCode, body: answer } = await agent.request({
      origin: servers[nth % servers.length]?.url ?? '',
      path,
      method: 'POST',
      headers: { 'x-api-key': as.key, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: statusCode, body: (await answer.json()) as JsonObject };
  };
  return {
    mint: (issuer, partner, count) =>
      inFlight(16, count, async (nth) => {
        const taken = await call(nth, issuer, '/v1/sessions/', { session_kind: 'user', status: 'Approved' });
        const path = `/v3/session/${String(taken.body['session_id'])}/share/`;
        const minted = await call(nth, issuer, path, { for_application_id: partner.id, ttl_in_seconds: 86_400 });
        if (minted.status !== 201) throw new Error(`${path}: ${minted.status} ${JSON.stringify(minted.body)}`);
        return String(minted.body['share_token']);
      }),
    tryImport: async (nth, partner, text) => {
      const body = { share_token: text, trust_review: true };
      const answer = await call(nth, partner, '/v3/session/import-shared/', body);
      return answer.status === 201 ? IMPORTED : `${answer.status} ${String(answer.body['code'])}`;
    },
    close: () => agent.destroy(),
  };
}

/** What is tried, and how many calls are under way all the time. */
interface Plan {
  readonly texts: readonly string[];
  readonly each: number;
  readonly connections: number;
}

/** Tries all texts several times, in turn, with a call under way on every connection. */
async function storm(stack: LabStack, crowd: Crowd, partner: Brand, plan: Plan): Promise<Row[]> {
  const { texts, each, connections } = plan;
  const tries = texts.length * each;
  const times: number[] = [];
  const begun = performance.now();
  const outcomes = await inFlight(connections, tries, async (nth) => {
    const at = performance.now();
    const outcome = await crowd.tryImport(nth, partner, texts[Math.floor(nth / each)] ?? '');
    times.push(performance.now() - at);
    return outcome;
  });
  const seconds = (performance.now() - begun) / 1_000;
  const counted = (outcome: string) => outcomes.filter((one) => one === outcome).length;
  const others = new Set(outcomes.filter((one) => one !== IMPORTED && one !== AGAIN));
  const name = `${texts.length === 1 ? 'one token' : `${texts.length} tokens`} × ${each}, ${connections} connections`;
  const milliseconds = (share: number) => `${quantile(times, share).toFixed(0)} ms`;
  return [
    same(`${name}: winners`, counted(IMPORTED), texts.length),
    same(`${name}: told that it was imported already`, counted(AGAIN), tries - texts.length),
    same(`${name}: other answers`, [...others].join(', ') || 'none', 'none'),
    same(`${name}: redemptions and new sessions`, await leftBehind(stack, texts), `${texts.length}, ${texts.length}`),
    {
      what: `${name}: pace`,
      expected: 'measured',
      seen: `${(tries / seconds).toFixed(0)} tries/s, p50 ${milliseconds(0.5)}, p99 ${milliseconds(0.99)}`,
      ok: true,
    },
  ];
}

async function leftBehind({ database }: LabStack, texts: readonly string[]): Promise<string> {
  const { rows } = await database.pool.query<{ redemptions: number; clones: number }>(
    `select (select count(*)::int from redemption where token_id = any ($1)) as redemptions,
       (select count(*)::int from session_provenance where token_id = any ($1)) as clones`,
    [texts.map(tokenIdOf)],
  );
  return `${rows[0]?.redemptions}, ${rows[0]?.clones}`;
}
