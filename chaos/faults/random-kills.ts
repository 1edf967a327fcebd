import { setTimeout as pause } from 'node:timers/promises';
import { within } from '../../torture/part.ts';
import { healed, untilWell } from '../recovery.ts';
import type { Fault, Rig } from '../rig.ts';
import { noFaults, toldBetween } from '../window.ts';

/** Every few seconds one of our processes dies, and is started again soon after, as a supervisor would. */
export const randomKills: Fault = {
  id: 'F2',
  what: 'SIGKILL of any of our processes, every 3 to 10 s (20 s; long: 10 min)',
  run: async (rig) => {
    const { fleet, random, say } = rig;
    const [begun, lastsMs] = [Date.now(), rig.quick ? 20_000 : 600_000];
    const restarts: Promise<void>[] = [];
    let kills = 0;
    while (Date.now() - begun < lastsMs) {
      const victim = random.pick(fleet.members);
      const restartMs = random.between(0, 2_000);
      if (victim.isRunning()) {
        await victim.kill();
        kills += 1;
        say(`F2: killed ${victim.name}`);
        const restart = pause(restartMs).then(() => victim.start());
        // Awaited below, with the others.
        restart.catch(() => undefined);
        restarts.push(restart);
      }
      await pause(random.between(3_000, 10_000));
    }
    await Promise.all(restarts);
    const mended = Date.now();
    const well = await untilWell(rig, mended);
    return [
      within('processes killed', kills, [1, 1_000]),
      noFaults(`meanwhile`, toldBetween(rig, begun)),
      healed('all is well again, from the last restart on', well),
      repeated(rig, begun),
    ];
  },
};

/** How many webhooks came again after they had been answered with 2xx: allowed, and published. */
function repeated({ ledger }: Rig, since: number) {
  const taken = ledger.heard.filter(({ at, status }) => at >= since && status < 300);
  const events = new Set(taken.map(({ as, headers }) => `${as} ${String(headers['webhook-id'])}`));
  const share = taken.length === 0 ? 0 : (100 * (taken.length - events.size)) / taken.length;
  return {
    what: 'webhooks that came again after a 2xx',
    expected: 'shown',
    seen: `${share.toFixed(2)} % of ${taken.length}`,
    ok: true,
  };
}
