import { setTimeout as pause } from 'node:timers/promises';
import { startWorkerProcess } from '../../test/support/worker-process.ts';
import { openCorrespondence, type Correspondence } from '../correspondence.ts';
import { openField, type Field, type Target } from '../field.ts';
import { startHostileReceiver } from '../hostile-receiver.ts';
import { same, within, type Part } from '../part.ts';
import { startWebhooksProcess } from '../senders.ts';

/** What one round showed of the half that was alive in it. */
interface Round {
  /** Milliseconds from before an event's commit to its arrival, once the dead ones have been dead for a while. */
  readonly p99: number;
  /** The same while they die: their circuits are not open yet, and their retries begin. */
  readonly p99AtFirst: number;
  readonly missing: number;
  /** Dead destinations that nothing is sent to for a while. */
  readonly resting: number;
}

/** Half of the destinations dead, in turn with none: what that changes for the others, medians of rounds. */
export const halfDead: Part = {
  name: 'half-dead',
  shows: 'half of the destinations dead: what that costs the others',
  run: async (lab) => {
    // Hanging requests end after 10 s; then circuits open, and retries begin that look once more after 5 s.
    const [pairs, firstSeconds, seconds, half, perSecond] = lab.quick ? [2, 3, 5, 6, 30] : [3, 25, 15, 20, 60];
    const temporal = await lab.servers.temporalAddress();
    const field = await openField(lab, { TEMPORAL_ADDRESS: temporal, LOG_LEVEL: 'error' });
    const receiver = await startHostileReceiver();
    lab.onEnd(() => receiver.close());
    const living = await openCorrespondence(lab, field);
    // It answers, and nobody measures it.
    const unmeasured = await receiver.http(
      (request, response) => void request.resume().on('end', () => response.end()),
    );
    const deaths = [
      await receiver.http((request) => void request.resume()),
      await receiver.nobody(),
      receiver.answer(500),
    ];
    await startWebhooksProcess(lab, field.env);
    const onboarding = await startWorkerProcess('onboarding', field.env);
    lab.onEnd(() => onboarding.stop());
    const round = (dead: boolean) =>
      runRound(field, living, {
        others: Array.from({ length: half }, (_, index) => (dead ? (deaths[index % 3] ?? '') : unmeasured)),
        firstSeconds,
        seconds,
        perSecond,
      });

    lab.say(`${perSecond} events a second to ${2 * half} destinations; a round to warm up`);
    await round(false);
    const alive: Round[] = [];
    const dead: Round[] = [];
    for (let pair = 1; pair <= pairs; pair += 1) {
      alive.push(await round(false));
      dead.push(await round(true));
      lab.say(`Pair ${pair} of ${pairs}: p99 ${ms(alive.at(-1))} with all alive, ${ms(dead.at(-1))} with half dead`);
    }
    const [before, after] = [median(alive, 'p99'), median(dead, 'p99')];
    const [beforeAtFirst, afterAtFirst] = [median(alive, 'p99AtFirst'), median(dead, 'p99AtFirst')];
    const missing = [...alive, ...dead].reduce((sum, each) => sum + each.missing, 0);
    return [
      {
        what: 'p99 to the others while half of them die, and in the same time without',
        expected: '-',
        seen: `${afterAtFirst.toFixed(0)} ms, ${beforeAtFirst.toFixed(0)} ms`,
        ok: true,
      },
      { what: 'p99 to the others, all alive', expected: '-', seen: `${before.toFixed(0)} ms`, ok: true },
      { what: 'p99 to the others, half dead', expected: '-', seen: `${after.toFixed(0)} ms`, ok: true },
      // Of a short round it says what else the machine was at.
      within(
        'change of their p99',
        Math.round(((after - before) / before) * 100),
        [-100, lab.measured ? 20 : Infinity],
        ' %',
      ),
      same('deliveries that they missed', missing, 0),
      within('dead destinations that are left alone in the end', dead.at(-1)?.resting ?? 0, [
        lab.quick ? 0 : half,
        half,
      ]),
    ];
  },
};

const ms = (round: Round | undefined) => `${(round?.p99 ?? Number.NaN).toFixed(0)} ms`;

function median(rounds: readonly Round[], which: 'p99' | 'p99AtFirst'): number {
  const sorted = rounds.map((round) => round[which]).sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** Tells destinations that live and as many others events in turn, and waits for what the living ones get. */
async function runRound(
  field: Field,
  living: Correspondence,
  plan: {
    readonly others: readonly string[];
    readonly firstSeconds: number;
    readonly seconds: number;
    readonly perSecond: number;
  },
): Promise<Round> {
  const open = (urls: readonly string[]) => Promise.all(urls.map((url) => field.target(url)));
  const alive = await open(plan.others.map(() => living.url));
  const others = await open(plan.others);
  const tell = async (seconds: number): Promise<{ p99: number; missing: number }> => {
    living.forget();
    const telling: Promise<unknown>[] = [];
    const begun = performance.now();
    for (let count = 0; count < seconds * plan.perSecond; count += 1) {
      const turn = Math.floor(count / 2) % others.length;
      const { applicationId } = (count % 2 === 0 ? alive : others)[turn] ?? { applicationId: '' };
      telling.push(count % 2 === 0 ? living.tell(applicationId) : field.tell(applicationId));
      await pause(Math.max(0, begun + ((count + 1) * 1_000) / plan.perSecond - performance.now()));
    }
    await Promise.all(telling);
    await living.settle(20_000);
    const delays = living.delays();
    return { p99: delays[Math.ceil(delays.length * 0.99) - 1] ?? Infinity, missing: living.missing() };
  };
  const first = await tell(plan.firstSeconds);
  const then = await tell(plan.seconds);
  const resting = await restingOf(field, others);
  await retire(field, [...alive, ...others]);
  return { p99: then.p99, p99AtFirst: first.p99, missing: first.missing + then.missing, resting };
}

async function restingOf({ pool }: Field, targets: readonly Target[]): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::int as count from webhook_health where destination_id = any ($1) and circuit_open_until is not null`,
    [targets.map(({ destinationId }) => destinationId)],
  );
  return rows[0]?.count ?? 0;
}

/** Takes the destinations of a round out of the way of the next, and waits for what is under way. */
async function retire({ pool }: Field, targets: readonly Target[]): Promise<void> {
  const ids = targets.map(({ destinationId }) => destinationId);
  await pool.query(
    'update webhook_destination set enabled = false, deleted_at = handoff_now() where destination_id = any ($1)',
    [ids],
  );
  const underWay = async () => {
    const { rows } = await pool.query(
      `select 1 from delivery_attempt where state = 'started' and destination_id = any ($1) limit 1`,
      [ids],
    );
    return rows.length > 0;
  };
  for (const until = Date.now() + 30_000; (await underWay()) && Date.now() < until;) await pause(100);
}
