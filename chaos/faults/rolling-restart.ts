import { setTimeout as pause } from 'node:timers/promises';
import { same, type Row } from '../../torture/part.ts';
import { linesOf } from '../log-watch.ts';
import type { Fault, Rig } from '../rig.ts';
import { noFaults, toldBetween } from '../window.ts';
import { startSteadyCalls } from './steady-calls.ts';

/** Each process in turn is told to end, as a deploy does, ends in its own time, and is started again; the load goes on. */
export const rollingRestart: Fault = {
  id: 'F17',
  what: 'SIGTERM and restart of each of our processes in turn, under load (once; long: 3 times)',
  run: async (rig) => {
    const { fleet, random, say } = rig;
    const begun = Date.now();
    const logged = new Map(fleet.members.map(({ name, logFile }) => [name, linesOf(logFile).length]));
    const steady = startSteadyCalls(rig);
    const endings: string[] = [];
    try {
      for (let round = 1; round <= (rig.quick ? 1 : 3); round += 1) {
        for (const member of random.shuffled(fleet.members)) {
          const told = Date.now();
          endings.push(`${member.name} ${await member.stop()}`);
          say(`F17: ${member.name} ended ${((Date.now() - told) / 1_000).toFixed(1)} s after SIGTERM`);
          await member.start();
          await pause(random.between(500, 2_000));
        }
      }
    } finally {
      await steady.stop();
    }
    const badly = endings.filter((ending) => !ending.endsWith(' code 0'));
    const { answered, refused, failures } = steady;
    return [
      { ...same('processes that did not end by themselves', badly.length, 0), seen: badly.join(', ') || '0' },
      {
        what: 'steady calls that failed, but by refusal of the server that is down',
        expected: '0',
        seen: `${failures.length} of ${answered() + failures.length}, ${refused()} refused${failures.length > 0 ? `: ${failures[0]}` : ''}`,
        ok: failures.length === 0 && answered() > 0,
      },
      noFaults('meanwhile', toldBetween(rig, begun)),
      nonDeterminism(rig, logged),
    ];
  },
};

/** Lines since then that say that a history was not repeated. */
function nonDeterminism({ fleet }: Rig, logged: ReadonlyMap<string, number>): Row {
  const lines = fleet.members.flatMap(({ name, logFile }) => linesOf(logFile).slice(logged.get(name) ?? 0));
  const told = lines.filter((line) => /non-?determinis|TMPRL1100/i.test(line));
  return same('lines in logs that speak of non-determinism', told.length, 0);
}
