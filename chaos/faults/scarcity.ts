import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import type { Row } from '../../torture/part.ts';
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
  if (outcome !== null) {
    rig.say(`F5: ${named}: not tried, ${outcome.untried}`);
    return [
      { what: named, expected: 'tried, where the system allows it', seen: `not tried: ${outcome.untried}`, ok: true },
    ];
  }
  const mended = Date.now();
  const [well, drained] = await Promise.all([untilWell(rig, mended), untilCaughtUp(rig, mended)]);
  const told = toldBetween(rig, from);
  rig.say(`F5: ${named}: ${inWords(told)}; well again after ${well.toFixed(1)} s`);
  return [noFaults(named, told), healed(`${named}: well again, backlog gone`, Math.max(well, drained))];
}

/** What every mint and import needs. */
const holdLock: Lack = {
  named: 'tables locked',
  last: (rig, ms) =>
    withDatabase(rig, async (database) => {
      await database.query('begin');
      await database.query('lock table share_token, session, outbox in access exclusive mode');
      await pause(ms);
      await database.query('commit');
      return null;
    }),
};

const TOO_MANY_CONNECTIONS = '53300';
/** Between two looks for a connection that our processes gave back or opened. */
const GRAB_MS = 200;

const takeConnections: Lack = {
  named: 'no connection left',
  last: async (rig, ms) => {
    const taken: Client[] = [];
    try {
      await withDatabase(rig, async (database) => {
        for (const until = Date.now() + ms; Date.now() < until; await pause(GRAB_MS)) {
          await takeAllThatAreFree(rig, taken);
          await database.query(
            `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'handoff'`,
          );
          await takeAllThatAreFree(rig, taken);
        }
      });
    } finally {
      await Promise.all(taken.map((client) => client.end().catch(() => undefined)));
    }
    return null;
  },
};

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
