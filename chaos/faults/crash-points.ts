import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { same, within, type Row } from '../../torture/part.ts';
import { arming, CRASH_POINTS, readDeath, type CrashPoint } from '../crash-points.ts';
import { endsWithin, type Member, type ProcessKind } from '../fleet.ts';
import { startResumption, type Resumed, type Resumption } from '../resumption.ts';
import type { Fault, Rig } from '../rig.ts';

/** How long the load has to bring an armed process to its point. */
const LIMIT_MS = 20_000;
/** A next process dies once the last one's work has gone on, or so long after. */
const PATIENCE_MS = 25_000;
/** Some points are for stories that are rare, or for what others leave: each has another turn at the end. */
const TURNS = 4;
const ROUNDS = { quick: 1, long: 20 } as const;
const KINDS: readonly ProcessKind[] = ['server', 'onboarding', 'webhooks'];

const NAMES = { onboarding: 'onboardings', delivery: 'deliveries' } as const;

interface Turn extends CrashPoint {
  readonly turn: number;
}

/** What came of all points. */
interface Tally {
  /** How often, by the point's name with its kind. */
  readonly reached: Map<string, number>;
  readonly missed: string[];
}

/** Processes are killed at each point of their code, as soon as what the last death met has gone on. */
export const crashPoints: Fault = {
  id: 'F1',
  what: `SIGKILL at each of ${CRASH_POINTS.length} crash points, once (long: 20 times)`,
  run: async (rig) => {
    const rounds = ROUNDS[rig.quick ? 'quick' : 'long'];
    mkdirSync(join(rig.folder, 'deaths'), { recursive: true });
    const resumption = startResumption(rig);
    const tally: Tally = { reached: new Map(), missed: [] };
    const lanes = lanesOf(rig, rounds).map((lane) => killAtAll(rig, resumption, lane, tally));
    // All to their ends, also when one breaks: the others would kill amid the next fault.
    await Promise.allSettled(lanes);
    const healed = rig.fleet.heal();
    await Promise.allSettled([healed]);
    const resumed = resumption.end();
    await Promise.allSettled([resumed]);
    await Promise.all([...lanes, healed]);
    return [...pointRows(tally, rounds), ...resumeRows(await resumed)];
  },
};

/** Points that one process is killed at, one after the other. */
interface Lane {
  readonly member: Member;
  readonly points: readonly CrashPoint[];
}

/**
 * The points of each kind, shared out to all of its processes but the last: that one goes on with what the others were
 * at, as it does where processes die one by one. That all of them die is F2's. Every other lane begins at its end, so that
 * no two are at the same step, and what the first death met would die with the second.
 */
function lanesOf({ fleet }: Rig, rounds: number): Lane[] {
  return KINDS.flatMap((kind) => {
    const victims = fleet.of(kind).slice(0, -1);
    const points = CRASH_POINTS.filter((point) => point.kind === kind);
    const share = Math.ceil(points.length / victims.length);
    return victims.map((member, index) => {
      const ours = points.slice(index * share, (index + 1) * share);
      const ordered = index % 2 === 0 ? ours : ours.toReversed();
      return { member, points: Array.from({ length: rounds }, () => ordered).flat() };
    });
  });
}

async function killAtAll(rig: Rig, resumption: Resumption, { member, points }: Lane, tally: Tally): Promise<void> {
  const left: Turn[] = points.map((point) => ({ ...point, turn: 1 }));
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    const { point, kind, reachedBy, turn } = next;
    if (await killAt(rig, resumption, member, next)) count(tally.reached, `${kind} ${point}`);
    else if (turn < TURNS) left.push({ ...next, turn: turn + 1 });
    else tally.missed.push(`${kind} at ${point}, by ${reachedBy}`);
  }
  if (!member.isRunning()) await member.start();
}

/** Whether the process came to its point in time, and died of it. */
async function killAt(rig: Rig, resumption: Resumption, member: Member, { point, late, turn }: Turn): Promise<boolean> {
  const report = join(rig.folder, 'deaths', `${member.name}-${Date.now()}.json`);
  await member.stop();
  // Anchors are made once a minute; nobody waits for them that long here.
  await member.start({ ...arming({ point, report }), AUDIT_ANCHOR_SECONDS: '1' });
  // Whoever ends in order hands over all that it remembers.
  const handedOver = late === true || turn > 1 ? restartLast(rig, member.kind) : Promise.resolve();
  handedOver.catch(() => undefined);
  if (!(await endsWithin(member, LIMIT_MS))) await member.kill();
  const death = readDeath(report);
  if (death === null) rig.say(`F1: ${member.name} did not come to ${point}`);
  else {
    await resumption.died(death);
    await resumption.wentOn(death, PATIENCE_MS);
  }
  await handedOver;
  return death !== null;
}

async function restartLast({ fleet }: Rig, kind: ProcessKind): Promise<void> {
  const last = fleet.of(kind).at(-1);
  await last?.stop();
  await last?.start();
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function pointRows({ reached, missed }: Tally, rounds: number): Row[] {
  const kinds = KINDS.map((kind) => {
    const points = CRASH_POINTS.filter((point) => point.kind === kind);
    const died = points
      .map((point) => reached.get(`${kind} ${point.point}`) ?? 0)
      .reduce((sum, count) => sum + count, 0);
    return same(`${kind}: killed at ${points.length} points`, died, points.length * rounds);
  });
  const never = missed.map((what) => ({ what, expected: 'killed', seen: 'not reached', ok: false }));
  return [...kinds, ...never];
}

function resumeRows({ steps, stuck }: Resumed): Row[] {
  const kinds = (['onboarding', 'delivery'] as const).map((what): Row => {
    const [went, never] = [steps.filter((step) => step.what === what), stuck.filter((one) => one.startsWith(what))];
    const at = (share: number) => went[Math.ceil(share * went.length) - 1]?.seconds.toFixed(1) ?? '–';
    const slowest = went.at(-1);
    const where = slowest === undefined ? '' : ` after ${slowest.point}`;
    return {
      what: `${NAMES[what]} under way have gone on`,
      expected: 'all within 5 min',
      seen: `${went.length} of ${went.length + never.length}; p50 ${at(0.5)} s, longest ${at(1)} s${where}`,
      ok: never.length === 0,
    };
  });
  return [
    ...kinds,
    within('what deaths met', steps.length + stuck.length, [1, Infinity]),
    ...stuck.map((what) => ({ what, expected: 'goes on within 5 min', seen: 'did not', ok: false })),
  ];
}
