import { setTimeout as pause } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { connectHandoffClient } from '../../src/client.ts';
import { same, type Row } from '../../torture/part.ts';
import { isSuccess } from '../caller.ts';
import { readRows } from '../oracle-reading.ts';
import { healed, untilCaughtUp, untilWell } from '../recovery.ts';
import type { Fault, Rig } from '../rig.ts';
import { noFaults, toldBetween } from '../window.ts';

/** Seconds that Temporal is away. */
const QUICK = [5];
const LONG = [30, 300];

/** What clients want of us all the while, as the ledger names it. */
const WISHES = ['onboard', 'mint', 'import'];
/** Until each was granted once. */
const PATIENCE_MS = 30_000;

/** Temporal dies and comes back on its file. Nobody who calls us notices: Postgres takes the wishes meanwhile. */
export const temporalOutage: Fault = {
  id: 'F6',
  what: 'SIGKILL of Temporal, away for 5 s (long: 30 s and 5 min), and its restart on the same file',
  run: async (rig) => {
    const rows: Row[] = [];
    for (const seconds of rig.quick ? QUICK : LONG) rows.push(...(await takeAway(rig, seconds)));
    return rows;
  },
};

async function takeAway(rig: Rig, seconds: number): Promise<Row[]> {
  const { temporal, say } = rig;
  const named = `${seconds} s without Temporal`;
  await temporal.kill();
  const from = Date.now();
  say(`F6: Temporal is away for ${seconds} s`);
  await pause(seconds * 1_000);
  // A short outage may pass between two calls of a kind.
  const accepted = (wish: string) => acceptedSince(rig, from, wish);
  const most = from + seconds * 1_000 + PATIENCE_MS;
  while (WISHES.some((wish) => accepted(wish).length === 0) && Date.now() < most) await pause(100);
  const until = Date.now();
  const [opened = [], minted = [], imported = []] = WISHES.map(accepted);
  const told = toldBetween(rig, from, until);
  await temporal.start();
  const back = Date.now();
  const [drained, well] = await Promise.all([untilCaughtUp(rig, back, (seconds + 120) * 1_000), untilWell(rig, back)]);
  const stranded = await runless(rig, opened);
  return [
    noFaults(named, told),
    same(`${named}: calls answered 503`, told.unavailable, 0),
    some(`${named}: onboardings opened meanwhile`, opened.length),
    some(`${named}: tokens minted meanwhile`, minted.length),
    some(`${named}: imports accepted meanwhile`, imported.length),
    same(`${named}: of those opened, still open without a run after the backlog`, stranded.length, 0),
    healed(`${named}: the backlog is gone`, drained, seconds + 120),
    healed(`${named}: all is well again`, well),
  ];
}

/** Tokens whose wish was granted since a moment. */
function acceptedSince({ ledger }: Rig, from: number, wish: string): string[] {
  const accepted = ledger.calls.filter(
    (call) => call.wish === wish && call.at >= from && isSuccess(call) && !call.replayed,
  );
  return accepted.map(({ tokenId, body }) => String(tokenId ?? body?.['token_id'] ?? ''));
}

/** Onboardings that are open, and that Temporal has never heard of. */
async function runless(rig: Rig, tokenIds: readonly string[]): Promise<string[]> {
  const rows = await readRows<{ id: string }>(
    rig,
    'select token_id as id from onboarding where token_id = any ($1::uuid[]) and ended_at is null',
    [tokenIds],
  );
  const open = rows.map(({ id }) => id);
  const connection = await Connection.connect({ address: rig.temporal.address });
  const client = connectHandoffClient({ client: new Client({ connection }) });
  try {
    const states = await Promise.all(open.map((tokenId) => client.describeOnboarding(tokenId)));
    return open.filter((_, index) => states[index] === 'unknown');
  } finally {
    await connection.close();
  }
}

function some(what: string, count: number): Row {
  return { what, expected: '≥ 1', seen: String(count), ok: count > 0 };
}
