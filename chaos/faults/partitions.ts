import { setTimeout as pause } from 'node:timers/promises';
import type { Row } from '../../torture/part.ts';
import type { Direction, Toxic } from '../fault-proxy.ts';
import { healed, untilCaughtUp, untilWell } from '../recovery.ts';
import type { Fault, Rig } from '../rig.ts';
import { inWords, noFaults, toldBetween } from '../window.ts';

/** A way of breaking the way. */
interface Breakage {
  readonly named: string;
  readonly toxic: Toxic;
  readonly direction: Direction;
}

const BREAKAGES: readonly Breakage[] = [
  { named: 'nothing passes to it', toxic: { kind: 'timeout' }, direction: 'up' },
  { named: 'nothing passes back', toxic: { kind: 'timeout' }, direction: 'down' },
  { named: 'nothing passes', toxic: { kind: 'timeout' }, direction: 'both' },
  { named: 'every connection is reset', toxic: { kind: 'reset_peer' }, direction: 'both' },
  { named: 'bytes pass in pieces of 64', toxic: { kind: 'slicer', bytes: 64, delayMs: 1 }, direction: 'both' },
  { named: 'two seconds late each way', toxic: { kind: 'latency', ms: 2_000 }, direction: 'both' },
  { named: '64 KiB a second', toxic: { kind: 'bandwidth', bytesPerSecond: 64 * 1024 }, direction: 'both' },
];

/** The ways to Postgres and to Temporal are cut, one-way too, and worn down; one after the other, healed between. */
export const partitions: Fault = {
  id: 'F7',
  what: 'partitions on the way to Postgres and to Temporal: cut, one-way, reset, sliced, late, narrow (2 s; long: 40 s)',
  run: async (rig) => {
    const rows: Row[] = [];
    for (const server of rig.random.shuffled(['postgres', 'temporal'] as const)) {
      for (const breakage of rig.random.shuffled(BREAKAGES)) rows.push(...(await cut(rig, server, breakage)));
    }
    return rows;
  },
};

async function cut(rig: Rig, server: 'postgres' | 'temporal', { named, toxic, direction }: Breakage): Promise<Row[]> {
  // Longer than a session may wait inside a transaction, so that Postgres ends those it does not hear of.
  const lastsMs = rig.quick ? 2_000 : 40_000;
  const what = `${server}: ${named}`;
  const from = Date.now();
  const mend = await rig.proxies[server].break(toxic, direction);
  try {
    await pause(lastsMs);
  } finally {
    await mend();
  }
  const mended = Date.now();
  const [well, drained] = await Promise.all([untilWell(rig, mended), untilCaughtUp(rig, mended)]);
  const told = toldBetween(rig, from);
  rig.say(`F7: ${what}: ${inWords(told)}; well again after ${well.toFixed(1)} s`);
  return [noFaults(what, told), healed(`${what}: well again, backlog gone`, Math.max(well, drained))];
}
