import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { within, type Row } from '../../torture/part.ts';
import { withDatabase } from '../oracle-reading.ts';
import { healed, untilCaughtUp, untilWell } from '../recovery.ts';
import type { Fault, Rig } from '../rig.ts';
import { inWords, noFaults, toldBetween } from '../window.ts';
import { fillDisk } from './full-disk.ts';
import type { Lack } from './lack.ts';

/** Postgres answers, but has no lock, no connection or no disk to give: callers are told to come again. */
export const scarcity: Fault = {
  id: 'F5',
  what: 'Postgres with tables locked for 5 s (long: 60 s), without a free connection, and with its disk full',
  run: async (rig) => {
    const rows: Row[] = [];
    const inTurn = rig.random.shuffled([holdLock, takeConnections, fillDisk]);
    for (const lack of inTurn) rows.push(...(await suffer(rig, lack)));
    return rows;
  },
};

async function suffer(rig: Rig, lack: Lack): Promise<Row[]> {
  const { named } = lack;
  const from = Date.now();
  const outcome = await lack.last(rig, rig.quick ? 5_000 : lack === holdLock ? 60_000 : 20_000);
  if ('untried' in outcome) {
    rig.say(`F5: ${named}: not tried, ${outcome.untried}`);
    return [
      { what: named, expected: 'tried, where the system allows it', seen: `not tried: ${outcome.untried}`, ok: true },
    ];
  }
  const mended = Date.now();
  const [well, drained] = await Promise.all([untilWell(rig, mended), untilCaughtUp(rig, mended)]);
  const told = toldBetween(rig, from);
  rig.say(`F5: ${named}: ${inWords(told)}; well again after ${well.toFixed(1)} s`);
  return [
    within(`${named}: refused or kept waiting by Postgres`, outcome.refusals, [1, Infinity]),
    noFaults(named, told),
    healed(`${named}: well again, backlog gone`, Math.max(well, drained)),
  ];
}

/** What every mint and import needs. */
const holdLock: Lack = {
  named: 'tables locked',
  last: (rig, ms) =>
    withDatabase(rig, async (database) => {
      await lockTables(database);
      await pause(ms);
      const { rows } = await database.query<{ waiting: number }>(
        'select count(distinct pid)::int as waiting from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))',
      );
      await database.query('commit');
      return { refusals: rows[0]?.waiting ?? 0 };
    }),
};

const LOCK_NOT_AVAILABLE = '55P03';
/** Less than Postgres waits before it looks for deadlocks: our processes lock these tables in orders of their own. */
const LOCK_PATIENCE = '200ms';

/** Begins a transaction that holds them all, as soon as nobody else holds one. */
async function lockTables(database: Client): Promise<void> {
  for (;;) {
    await database.query('begin');
    try {
      await database.query(`set local lock_timeout = '${LOCK_PATIENCE}'`);
      await database.query('lock table share_token, session, outbox in access exclusive mode');
      return;
    } catch (error) {
      await database.query('rollback');
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
    }
  }
}

const TOO_MANY_CONNECTIONS = '53300';
/** Between two looks for a connection that our processes gave back or opened. */
const GRAB_MS = 200;

const takeConnections: Lack = {
  named: 'no connection left',
  last: async (rig, ms) => {
    const taken: Client[] = [];
    let refusals = 0;
    try {
      await withDatabase(rig, async (database) => {
        for (const until = Date.now() + ms; Date.now() < until; await pause(GRAB_MS)) {
          await takeAllThatAreFree(rig, taken);
          refusals += 1;
          await database.query(
            `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'handoff'`,
          );
          await takeAllThatAreFree(rig, taken);
        }
      });
    } finally {
      await Promise.all(taken.map((client) => client.end().catch(() => undefined)));
    }
    return { refusals };
  },
};

/** Until Postgres refuses another one. */
async function takeAllThatAreFree({ postgres }: Rig, taken: Client[]): Promise<void> {
  for (;;) {
    const client = new Client({ connectionString: postgres.url });
    client.on('error', () => undefined);
    try {
      await client.connect();
      taken.push(client);
    } catch (error) {
      if ((error as { code?: unknown }).code === TOO_MANY_CONNECTIONS) return;
      throw error;
    }
  }
}
