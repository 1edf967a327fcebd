import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { same, type Row } from '../../torture/part.ts';
import { arming, CRASH_POINTS, readDeath, type CrashPoint } from '../crash-points.ts';
import type { Member, ProcessKind } from '../fleet.ts';
import { startResumption, type Resumed, type Resumption } from '../resumption.ts';
import type { Fault, Rig } from '../rig.ts';

/** How long the load has to bring an armed process to its point. */
const LIMIT_MS = 20_000;
/** Some points are for stories that are rare, or for what others leave: each has another turn at the end. */
const TURNS = 3;
const ROUNDS = { quick: 1, long: 20 } as const;
const KINDS: readonly ProcessKind[] = ['server', 'onboarding', 'webhooks'];

interface Turn extends CrashPoint {
  readonly turn: number;
}

/** What came of all points. */
interface Tally {
  readonly reached: Map<CrashPoint, number>;
  readonly missed: string[];
}

/** Processes are killed at each point of their code, the next one as soon as the last one is dead. */
export const crashPoints: Fault = {
  id: 'F1',
  what: `SIGKILL at each of ${CRASH_POINTS.length} crash points, once (long: 20 times)`,
  run: async (rig) => {
    const rounds = ROUNDS[rig.quick ? 'quick' : 'long'];
    mkdirSync(join(rig.folder, 'deaths'), { recursive: true });
    const resumption = startResumption(rig);
    const tally: Tally = { reached: new Map(), missed: [] };
    await Promise.all(KINDS.map((kind) => killAtAll(rig, resumption, { kind, rounds }, tally)));
    await rig.fleet.heal();
    const resumed = await resumption.end();
    return [...pointRows(tally, rounds), ...resumeRows(resumed)];
  },
};

/**
 * All points of a kind, one after the other at the first of its processes: the others of its kind go on with what it was
 * at, as they do where processes die one by one. That all of them die is F2's.
 */
async function killAtAll(
  rig: Rig,
  resumption: Resumption,
  { kind, rounds }: { readonly kind: ProcessKind; readonly rounds: number },
  tally: Tally,
): Promise<void> {
  const points = CRASH_POINTS.filter((point) => point.kind === kind);
  const left: Turn[] = Array.from({ length: rounds }, () => points.map((point) => ({ ...point, turn: 1 }))).flat();
  const [member] = rig.fleet.of(kind);
  if (member === undefined) throw new Error(`the fleet has no ${kind}`);
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    if (await killAt(rig, resumption, member, next)) {
      const listed = points.find(({ point }) => point === next?.point) ?? next;
      tally.reached.set(listed, (tally.reached.get(listed) ?? 0) + 1);
    } else if (next.turn < TURNS) left.push({ ...next, turn: next.turn + 1 });
    else tally.missed.push(`${kind} at ${next.point}, by ${next.reachedBy}`);
  }
  if (!member.isRunning()) await member.start();
}

/** Whether the process came to its point in time, and died of it. */
async function killAt(rig: Rig, resumption: Resumption, member: Member, { point }: CrashPoint): Promise<boolean> {
  const report = join(rig.folder, 'deaths', `${member.name}-${Date.now()}.json`);
  await member.stop();
  // Anchors are made once a minute; nobody waits for them that long here.
  await member.start({ ...arming({ point, report }), AUDIT_ANCHOR_SECONDS: '1' });
  const limit = new AbortController();
  await Promise.race([member.ended(), pause(LIMIT_MS, undefined, { signal: limit.signal }).catch(() => undefined)]);
  limit.abort();
  if (member.isRunning()) await member.kill();
  const death = readDeath(report);
  if (death === null) rig.say(`F1: ${member.name} did not come to ${point}`);
  else await resumption.died(death);
  return death !== null;
}

function pointRows({ reached, missed }: Tally, rounds: number): Row[] {
  const kinds = KINDS.map((kind) => {
    const points = CRASH_POINTS.filter((point) => point.kind === kind);
    const died = points.map((point) => reached.get(point) ?? 0).reduce((sum, count) => sum + count, 0);
    return same(`${kind}: killed at ${points.length} points`, died, points.length * rounds);
  });
  const never = missed.map((what) => ({ what, expected: 'killed', seen: 'not reached', ok: false }));
  return [...kinds, ...never];
}

function resumeRows({ seconds, stuck }: Resumed): Row[] {
  const sorted = seconds.toSorted((one, other) => one - other);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]?.toFixed(1) ?? '–';
  return [
    {
      what: 'what was under way has gone on',
      expected: `all, at least 1`,
      seen: `${seconds.length} of ${seconds.length + stuck.length}; p50 ${at(0.5)} s, p99 ${at(0.99)} s, most ${at(1)} s`,
      ok: seconds.length > 0 && stuck.length === 0,
    },
    ...stuck.map((what) => ({ what, expected: 'goes on within 90 s', seen: 'did not', ok: false })),
  ];
}
