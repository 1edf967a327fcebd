import { setTimeout as pause } from 'node:timers/promises';
import { same, type Row } from '../../torture/part.ts';
import { healed, untilWell } from '../recovery.ts';
import type { Fault } from '../rig.ts';
import { median, noFaults, toldBetween, writeGap } from '../window.ts';

/** Longer than Postgres needs to replay what a crash left, and the pools to find it again. */
const MOST_GAP_SECONDS = 30;

/** Postgres dies with all its processes and comes back on the same data. What it had acknowledged, I2 asks for at the end. */
export const postgresCrash: Fault = {
  id: 'F4',
  what: 'SIGKILL of Postgres, postmaster and children, and its restart (2 times; long: 20)',
  run: async (rig) => {
    const { postgres, random, say } = rig;
    const [begun, kills] = [Date.now(), rig.quick ? 2 : 20];
    const gaps: number[] = [];
    const heals: number[] = [];
    for (let kill = 1; kill <= kills; kill += 1) {
      // A moment of normal load before each.
      await pause(random.between(1_500, 4_000));
      const killed = Date.now();
      await postgres.kill();
      await postgres.start();
      const answered = Date.now();
      heals.push(await untilWell(rig, answered));
      gaps.push(writeGap(rig, killed) / 1_000);
      say(`F4: ${kill} of ${kills}: it was away for ${(answered - killed) / 1_000} s, no write for ${gaps.at(-1)} s`);
    }
    return [
      same('kills after which all was well again', heals.filter(Number.isFinite).length, kills),
      noFaults('meanwhile', toldBetween(rig, begun)),
      healed('… longest wait for it', Math.max(...heals)),
      gapRow(gaps),
    ];
  },
};

function gapRow(gaps: readonly number[]): Row {
  const most = Math.max(...gaps);
  const seen = [Math.min(...gaps), median(gaps), most].map((gap) => gap.toFixed(1)).join(' / ');
  return {
    what: 'no write succeeded for, least / median / most',
    expected: `≤ ${MOST_GAP_SECONDS} s`,
    seen: `${seen} s`,
    ok: most <= MOST_GAP_SECONDS,
  };
}
