import { setTimeout as pause } from 'node:timers/promises';
import { same } from '../torture/part.ts';
import type { TableRow } from '../torture/table.ts';
import { INVARIANTS } from './invariants/index.ts';
import { startLoad } from './load.ts';
import { unexpectedLines } from './log-watch.ts';
import { untilQuiet } from './quiet.ts';
import { streamOf } from './random.ts';
import type { Fault, Rig } from './rig.ts';

/** What a rig is put through. */
export interface Torment {
  readonly faults: readonly Fault[];
  /** Stories a second. */
  readonly rate: number;
  readonly onBegin: (fault: Fault) => void;
}

/** Quick turns fit into a run whose time is set, long ones would not. */
const inTurn = (rig: Rig): Rig => (rig.minutes === null ? rig : { ...rig, quick: true });

/** Normal load before the first fault, so that there is something to lose. */
const WARM_UP_MS = 5_000;

/** All faults, the ones in labs of their own last: they share nothing with the rig but the machine. */
export async function torment(rig: Rig, { faults, rate, onBegin }: Torment): Promise<TableRow[]> {
  const amidst = faults.filter(({ alone }) => alone !== true);
  // Drawn first: how often the others come round is up to the clock.
  const last = rig.random.shuffled(faults.filter(({ alone }) => alone === true));
  const rows = amidst.length === 0 ? [] : await underLoad(rig, { faults: amidst, rate, onBegin });
  for (const fault of last) {
    onBegin(fault);
    rows.push(...(await rowsOf(rig, fault, 1)));
  }
  return rows;
}

/**
 * Breaks one thing after the other while the load goes on, mends all, waits for quiet, and asks what must hold. Where its
 * time is set, the faults come round in an order that is another one each time; after it none begins that had its turn.
 */
async function underLoad(rig: Rig, { faults, rate, onBegin }: Torment): Promise<TableRow[]> {
  const { random, say } = rig;
  const rows: TableRow[] = [];
  const begun = Date.now();
  const isOver = () => Date.now() - begun >= (rig.minutes ?? 0) * 60_000;
  const load = startLoad(rig, { rate });
  await pause(WARM_UP_MS);
  let turn = 0;
  do {
    turn += 1;
    for (const fault of random.shuffled(faults)) {
      if (turn > 1 && isOver()) break;
      onBegin(fault);
      rows.push(...(await rowsOf(inTurn(rig), fault, turn)));
      await pause(random.between(2_000, 5_000));
    }
  } while (!isOver());

  say('All is mended: the load ends, and what is under way comes to rest');
  rows.push(
    ...(await guarded(rig, 'load', async () => {
      await load.stop();
      const { quiet, left, seconds } = await untilQuiet(rig);
      return [
        {
          part: 'load',
          what: 'all comes to rest',
          expected: 'yes',
          seen: quiet ? `after ${seconds} s` : left,
          ok: quiet,
        },
      ];
    })),
  );
  for (const invariant of INVARIANTS) {
    const { id, says } = invariant;
    rows.push(
      ...(await guarded(rig, id, async () => {
        const { looked, breaks } = await invariant.check(rig);
        for (const broken of breaks) say(`${id}: ${broken}`);
        return [
          {
            part: id,
            what: says,
            expected: '0 breaks',
            seen: `${breaks.length} in ${looked}`,
            ok: breaks.length === 0,
          },
        ];
      })),
    );
  }
  const ended = rig.fleet.members.flatMap(({ name, endedByItself }) => endedByItself.map((how) => `${name} (${how})`));
  rows.push({
    part: 'logs',
    ...same('processes of ours that ended by themselves', ended.join(', ') || 'none', 'none'),
  });
  rows.push(
    ...(await guarded(rig, 'logs', async () => {
      const lines = unexpectedLines(rig.fleet.members);
      for (const line of lines.slice(0, 20)) say(`Unexpected: ${line}`);
      return [{ part: 'logs', ...same('unexpected lines in logs', lines.length, 0) }];
    })),
  );
  return rows;
}

/**
 * One fault; whatever it left broken is mended before the next. Each turn has choices of its own: some faults draw until
 * their time is over, which may be once more on a faster machine.
 */
async function rowsOf(rig: Rig, fault: Fault, turn: number): Promise<TableRow[]> {
  rig.say(`${fault.id} begins: ${fault.what}`);
  const rows = await guarded(rig, fault.id, async () => {
    const found = await fault.run({ ...rig, random: streamOf(rig.seed, fault.id, turn) });
    return found.map((row) => ({ part: fault.id, ...row }));
  });
  const mended = await guarded(rig, fault.id, async () => {
    await rig.postgres.start();
    await rig.temporal.start();
    await rig.fleet.heal();
    return [];
  });
  const all = [...rows, ...mended];
  rig.say(`${fault.id}: ${all.length} rows, ${all.filter(({ ok }) => !ok).length} failed`);
  return all;
}

/** What breaks instead of finding something is a row that failed. */
async function guarded(rig: Pick<Rig, 'say'>, part: string, work: () => Promise<TableRow[]>): Promise<TableRow[]> {
  return work().catch((error: unknown) => {
    const { stack = String(error), message = stack } = error as Partial<Error>;
    rig.say(`${part} broke: ${stack}`);
    const [seen = ''] = message.split('\n');
    return [{ part, what: 'runs to its end', expected: 'yes', seen, ok: false }];
  });
}
