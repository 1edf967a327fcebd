import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Brand } from '../../test/support/brands.ts';
import type { ReceivedWebhook } from '../../test/support/scripted-partner.ts';
import type { Lab } from '../../torture/lab.ts';
import { same, within, type Part, type Row } from '../../torture/part.ts';
import { startWebhooksProcess } from '../../torture/senders.ts';
import { falseClock, movableClock } from './false-clock.ts';
import { tokenIdOf } from '../stories.ts';
import { inLab } from './in-lab.ts';
import { openLabStack, startLabServer, type LabServer, type LabStack } from './lab-stack.ts';

const SKEW_SECONDS = 600;
/** For deliveries; a sender takes seconds to start. */
const PATIENCE_MS = 120_000;
/** Less than the skew: a server that is ahead would believe it expired. */
const TTL_SECONDS = 300;
const SKEWS = [
  ['10 min ahead', SKEW_SECONDS],
  ['10 min behind', -SKEW_SECONDS],
] as const;

/** What the skewed processes are tried with. */
interface Scene {
  readonly stack: LabStack;
  readonly issuer: Brand;
  readonly partner: Brand;
}

const clocks: Part = {
  name: 'clocks',
  shows: 'servers and senders whose clock is wrong: the database’s decides',
  run: async (lab) => {
    const stack = await openLabStack(lab, { servers: 1 });
    const add = () => stack.brands.add({ destination: false });
    const scene: Scene = { stack, issuer: await add(), partner: await add() };
    const rows: Row[] = [];
    for (const [name, seconds] of SKEWS) {
      lab.say(`F13: a server ${name}`);
      rows.push(...(await skewedServer(lab, scene, name, seconds)));
    }
    lab.say('F13: a server whose clock jumps');
    rows.push(...(await jumpingServer(lab, scene)));
    for (const [name, seconds] of [['right', 0], ...SKEWS] as const) {
      lab.say(`F13: a sender whose clock is ${name}`);
      rows.push(...(await skewedSender(lab, scene, name, seconds)));
    }
    return rows;
  },
};

/** Clocks that are wrong, and one that jumps. */
export const clockSkew = inLab(
  { id: 'F13', what: 'clocks 10 minutes ahead and behind, and jumping, on one server and on one sender' },
  clocks,
);

/** Expiry on a server that believes it is another time. */
async function skewedServer(
  lab: Lab,
  { stack, issuer, partner }: Scene,
  name: string,
  seconds: number,
): Promise<Row[]> {
  const server = await startLabServer(lab, { ...stack.env, ...(await falseClock(seconds)) });
  const right = stack.servers[0];
  const count = lab.quick ? 5 : 50;
  const tally = async (minting: LabServer, importing: LabServer, expire: boolean) => {
    const outcomes = new Set<string>();
    for (let nth = 0; nth < count; nth += 1) {
      const text = await mint(minting, stack, issuer, partner);
      if (expire) await expireNow(stack, text);
      outcomes.add(await importText(importing, partner, text));
    }
    return [...outcomes].join(', ');
  };
  const rows = [
    same(`${name}: it shows by its own clock`, await skewOf(server), seconds),
    same(`${name}: a token that lives ${TTL_SECONDS} s more, imported there`, await tally(right, server, false), '201'),
    same(`${name}: a token of its own, imported elsewhere`, await tally(server, right, false), '201'),
    same(
      `${name}: a token that ran out just now, imported there`,
      await tally(right, server, true),
      '401 share_token_expired',
    ),
  ];
  await server.stop();
  return rows;
}

/** Calls go on while a server's clock jumps about. */
async function jumpingServer(lab: Lab, { stack, issuer, partner }: Scene): Promise<Row[]> {
  const clock = await movableClock(join(lab.folder, 'clock'));
  const server = await startLabServer(lab, { ...stack.env, ...clock.env });
  const seen = new Set<number>();
  const outcomes: string[] = [];
  for (const offset of [0, SKEW_SECONDS, -SKEW_SECONDS, 0]) {
    clock.moveTo(offset);
    const until = Date.now() + (lab.quick ? 3_000 : 15_000);
    while (Date.now() < until) {
      outcomes.push(await importText(server, partner, await mint(server, stack, issuer, partner)));
      seen.add(await skewOf(server));
    }
  }
  await server.stop();
  return [
    same(
      'a jumping clock: offsets that it showed',
      [...seen].sort((one, other) => one - other).join(', '),
      '-600, 0, 600',
    ),
    within('a jumping clock: tokens minted and imported', outcomes.length, [10, Infinity]),
    same('a jumping clock: of them not 201', outcomes.filter((one) => one !== '201').length, 0),
  ];
}

/** Deliveries of a sender whose clock is wrong, at a receiver whose clock is right. */
async function skewedSender(lab: Lab, { stack, partner }: Scene, name: string, seconds: number): Promise<Row[]> {
  const issuer = await stack.brands.add();
  const env = seconds === 0 ? stack.env : { ...stack.env, ...(await falseClock(seconds)) };
  const sender = await startWebhooksProcess(lab, env);
  const count = lab.quick ? 10 : 100;
  for (let nth = 0; nth < count; nth += 1) await mint(stack.servers[0], stack, issuer, partner);
  const of = () => issuer.endpoint.received.filter(({ type }) => type === 'share.minted');
  for (const until = Date.now() + PATIENCE_MS; of().length < count && Date.now() < until;) await pause(50);
  const arrived = of();
  const off = arrived.map(({ body }) => Math.round(Number(body['timestamp']) - Date.now() / 1_000));
  // Killed, it would keep its deliveries for a while.
  await sender.process.stop();
  return [
    same(`sender’s clock ${name}: deliveries`, arrived.length, count),
    same(`sender’s clock ${name}: a receiver believes`, arrived.filter((one) => believed(one, issuer)).length, count),
    {
      what: `sender’s clock ${name}: their timestamps`,
      expected: 'measured',
      seen: `off by ${Math.min(...off)} to ${Math.max(...off)} s`,
      ok: true,
    },
  ];
}

/** By the library of Standard Webhooks, which takes five minutes either way. */
function believed({ rawBody, headers }: ReceivedWebhook, { endpoint }: Brand): boolean {
  try {
    new Webhook(endpoint.secrets?.secret_standard_webhooks ?? '').verify(rawBody, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}

async function mint(server: LabServer, { brands }: LabStack, issuer: Brand, partner: Brand): Promise<string> {
  const sessionId = await brands.takeIn(issuer, 'kyc-approved');
  const path = `/v3/session/${sessionId}/share/`;
  const body = { for_application_id: partner.id, ttl_in_seconds: TTL_SECONDS };
  const answer = await call(server, issuer, path, body);
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return String(answer.body['share_token']);
}

async function importText(server: LabServer, partner: Brand, text: string): Promise<string> {
  const body = { share_token: text, trust_review: true };
  const answer = await call(server, partner, '/v3/session/import-shared/', body);
  return answer.status === 201 ? '201' : `${answer.status} ${String(answer.body['code'])}`;
}

async function expireNow({ database }: LabStack, text: string): Promise<void> {
  await database.pool.query(
    `update share_token set expires_at = handoff_now() - interval '1 second' where token_id = $1`,
    [tokenIdOf(text)],
  );
}

/** How far a server's clock is from this process's, to a minute. */
async function skewOf(server: LabServer): Promise<number> {
  const { timestamp } = (await (await fetch(`${server.url}/system/healthcheck`)).json()) as { timestamp: string };
  return 60 * Math.round((Date.parse(timestamp) - Date.now()) / 60_000);
}

async function call(server: LabServer, as: Brand, path: string, body: JsonObject) {
  const response = await fetch(new URL(path, server.url), {
    method: 'POST',
    headers: { 'x-api-key': as.key, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!text.startsWith('{')) throw new Error(`${path}: ${response.status} ${text || 'without a body'}`);
  return { status: response.status, body: JSON.parse(text) as JsonObject };
}
