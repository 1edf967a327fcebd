import { execFile } from 'node:child_process';
import { chownSync, closeSync, mkdirSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import { unprivilegedAccount } from '../../src/dev/unprivileged.ts';
import { withDatabase } from '../oracle-reading.ts';
import type { Lack } from './lack.ts';

const run = promisify(execFile);

/** Tables that grow with each onboarding. */
const GROWING = [
  'outbox',
  'event',
  'event_payload',
  'delivery',
  'delivery_attempt',
  'onboarding_step',
  'idempotency_key',
];
const TABLESPACE = 'chaos_small';
const MIB = 1024 * 1024;

/**
 * The tables that grow move to a small disk in memory, which then is filled to its last byte: an insert that needs another
 * page fails. Only root may mount such a disk.
 */
export const fillDisk: Lack = {
  named: 'disk full',
  last: async (rig, ms) => {
    const account = unprivilegedAccount();
    if (process.platform !== 'linux' || account === undefined) return { untried: 'only root may mount a small disk' };
    const disk = mkdtempSync(join(tmpdir(), 'disk-'));
    try {
      const size = await withDatabase(rig, (database) => sizeOf(database));
      const options = `size=${size * 2 + 16 * MIB},mode=0711`;
      await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]);
    } catch (error) {
      rmdirSync(disk);
      return { untried: `a small disk could not be mounted (${(error as Error).message.trim()})` };
    }
    let mounted = true;
    const unmount = async () => {
      if (!mounted) return;
      await run('umount', ['-l', disk]);
      mounted = false;
      rmdirSync(disk);
    };
    // Also when the run ends amid this.
    rig.onEnd(unmount);
    const place = join(disk, 'tables');
    mkdirSync(place, { mode: 0o700 });
    chownSync(place, account.uid, account.gid);
    const refusals = await withDatabase(rig, async (database) => {
      await database.query(`create tablespace ${TABLESPACE} location '${place}'`);
      const ballast = join(disk, 'ballast');
      // Whatever was moved goes back, also when another table could not be.
      try {
        await moveTables(database, TABLESPACE);
        const until = Date.now() + ms;
        // What Postgres frees meanwhile is taken too.
        for (; Date.now() < until; await pause(500)) fill(ballast);
        return (await hasRoom(database)) ? 0 : 1;
      } finally {
        rmSync(ballast, { force: true });
        await moveTables(database, 'pg_default');
        await database.query(`drop tablespace ${TABLESPACE}`);
        // Otherwise a crash later on would replay the making of a tablespace whose place is gone.
        await database.query('checkpoint');
      }
    });
    await unmount();
    return { refusals };
  },
};

async function sizeOf(database: Client): Promise<number> {
  const { rows } = await database.query<{ size: string }>(
    `select sum(pg_total_relation_size(name::regclass)) as size from unnest($1::text[]) as name`,
    [GROWING],
  );
  return Number(rows[0]?.size);
}

async function moveTables(database: Client, tablespace: string): Promise<void> {
  const { rows } = await database.query<{ move: string }>(
    `select format('alter %s %s set tablespace ${tablespace}', case relkind when 'i' then 'index' else 'table' end, oid::regclass) as move
     from pg_class where relkind in ('r', 'i')
       and (oid = any ($1::regclass[]) or oid in (select indexrelid from pg_index where indrelid = any ($1::regclass[])))`,
    [GROWING],
  );
  for (const { move } of rows) await database.query(move);
}

const DISK_FULL = '53100';

/** Whether a new table of a megabyte still finds its place there. */
async function hasRoom(database: Client): Promise<boolean> {
  try {
    await database.query(
      `create table chaos_probe tablespace ${TABLESPACE} as select repeat('x', 1000) from generate_series(1, 1000)`,
    );
    await database.query('drop table chaos_probe');
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === DISK_FULL) return false;
    throw error;
  }
}

/** Appends to a file until there is no room for another byte. */
function fill(file: string): void {
  const opened = openSync(file, 'a');
  try {
    for (let piece = 64 * 1024; piece >= 1; piece = Math.floor(piece / 2)) {
      while (writes(opened, piece)) continue;
    }
  } finally {
    closeSync(opened);
  }
}

function writes(file: number, bytes: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(bytes)) === bytes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
