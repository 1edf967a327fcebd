import { setTimeout as pause } from 'node:timers/promises';
import { within, type Row } from '../../torture/part.ts';
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

/** Longer than a session may wait inside a transaction, a lease or an activity: others take over what is cut off. */
const LONG_MS = 40_000;
const OUTLASTING_MS = 25_000;
const SHORT_MS = 2_000;
/** Until something has been late both ways. */
const LATE_MS = 8_000;
const KINDS = ['server', 'onboarding', 'webhooks'] as const;

/**
 * The ways to Postgres and to Temporal are cut, one-way too, and worn down; one after the other, healed between. Then one
 * process of each kind stands still while the others go on, take over what it had begun, and hear of it again.
 */
export const partitions: Fault = {
  id: 'F7',
  what: 'partitions on the way to Postgres and to Temporal: cut, one-way, reset, sliced, late, narrow (2 s, one of each 25 s; long: 40 s); one process of each kind frozen for 25 s',
  run: async (rig) => {
    const rows: Row[] = [];
    for (const server of rig.random.shuffled(['postgres', 'temporal'] as const)) {
      const outlasting = rig.random.pick(BREAKAGES);
      for (const breakage of rig.random.shuffled(BREAKAGES)) {
        const quickMs = breakage.toxic.kind === 'latency' ? LATE_MS : SHORT_MS;
        const lastsMs = rig.quick ? (breakage === outlasting ? OUTLASTING_MS : quickMs) : LONG_MS;
        rows.push(...(await cut(rig, { server, breakage, lastsMs })));
      }
    }
    return [...rows, ...(await freeze(rig, rig.quick ? OUTLASTING_MS : LONG_MS))];
  },
};

interface Cut {
  readonly server: 'postgres' | 'temporal';
  readonly breakage: Breakage;
  readonly lastsMs: number;
}

async function cut(rig: Rig, { server, breakage, lastsMs }: Cut): Promise<Row[]> {
  const what = `${server}: ${breakage.named}, ${lastsMs / 1_000} s`;
  const from = Date.now();
  const mend = await rig.proxies[server].break(breakage.toxic, breakage.direction);
  let struck = 0;
  try {
    await pause(lastsMs);
  } finally {
    struck = await mend();
  }
  return [
    within(`${what}: connections and pieces struck`, struck, [1, Infinity]),
    ...(await mendedRows(rig, what, from)),
  ];
}

/** Their connections stay open, their leases and tasks run out, and when they go on they know nothing of it. */
async function freeze(rig: Rig, lastsMs: number): Promise<Row[]> {
  const frozen = KINDS.map((kind) => rig.random.pick(rig.fleet.of(kind)));
  const what = `frozen for ${lastsMs / 1_000} s: ${frozen.map(({ name }) => name).join(', ')}`;
  const pids = frozen.flatMap(({ pid }) => pid ?? []);
  const from = Date.now();
  try {
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await pause(lastsMs);
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
  const meanwhile = toldBetween(rig, from);
  return [
    within(`${what}: stood still`, pids.length, [KINDS.length, KINDS.length]),
    within(`${what}: calls that others carried out meanwhile`, meanwhile.yes, [1, Infinity]),
    ...(await mendedRows(rig, what, from)),
  ];
}

async function mendedRows(rig: Rig, what: string, from: number): Promise<Row[]> {
  const mended = Date.now();
  const [well, drained] = await Promise.all([untilWell(rig, mended), untilCaughtUp(rig, mended)]);
  const told = toldBetween(rig, from);
  rig.say(`F7: ${what}: ${inWords(told)}; well again after ${well.toFixed(1)} s`);
  return [noFaults(what, told), healed(`${what}: well again, backlog gone`, Math.max(well, drained))];
}
