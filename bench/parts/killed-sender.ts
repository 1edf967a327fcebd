import { setTimeout as pause } from 'node:timers/promises';
import { amount, startWorker, type Lab } from '../lab.ts';
import { databaseTime, type Onboarded, type OnboardingStack } from '../onboarding/stack.ts';
import { until } from '../until.ts';

/** Onboardings under way when the worker is killed. */
const UNDER_WAY = 20;
const MOST_TRIES = 5;

/** A worker that was killed with deliveries under way. */
interface Death {
  /** By the database's clock. */
  readonly bornAt: string;
  readonly diedAt: string;
  /** Deliveries that were sent, and had no answer. */
  readonly met: number;
  readonly onboarded: Promise<Onboarded>;
}

/**
 * SIGKILL for a webhooks worker that has sent webhooks and has no answer to them yet, of tokens and of imports, while the
 * stack's own runs beside it: once each round. The next round begins meanwhile, as most of it is waiting.
 *
 * @returns for each round, of every delivery that the worker had under way, the seconds from the kill until it had ended
 */
export async function killSenders(lab: Lab, stack: OnboardingStack): Promise<number[][]> {
  const deaths: Death[] = [];
  for (let round = 1; round <= lab.rounds; round += 1) deaths.push(await deathAmidDeliveries(lab, stack));
  for (const { onboarded } of deaths) await stack.settled(await onboarded);
  // The last notice is heard before it is recorded as such.
  await stack.atRest();
  const rounds = await Promise.all(deaths.map((death) => secondsUntilEnded(stack, death)));
  if (rounds.some((seconds) => seconds.length === 0)) throw new Error('a killed worker left no delivery behind');
  return rounds;
}

async function deathAmidDeliveries(lab: Lab, stack: OnboardingStack): Promise<Death> {
  // All that wait may be the other worker's.
  for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
    const death = await killOne(lab, stack);
    if (death.met > 0) return death;
  }
  throw new Error('no delivery was under way when the worker was killed');
}

async function killOne(lab: Lab, stack: OnboardingStack): Promise<Death> {
  const count = amount(lab, { full: 60, quick: 30 });
  const orders = await stack.orders('acknowledge', count);
  const bornAt = await databaseTime(stack);
  const victim = await startWorker(lab, 'webhooks', stack.env);
  let ended = 0;
  const onboarded = stack.onboard(orders, UNDER_WAY, () => (ended += 1));
  // Whoever waits for it hears of a failure; until then it must not count as unhandled.
  onboarded.catch(() => {});
  // Some have ended by then, so that those under way are in every state.
  await until('the first onboardings', () => ended >= Math.min(UNDER_WAY, count / 3));
  const hold = stack.counterparts.hold();
  // One of each at least, so that tokens are among them as well as notices; about half are the other worker's.
  await until('webhooks under way', () => hold.count() >= Math.min(UNDER_WAY, count - ended));
  process.kill(victim.pid, 'SIGKILL');
  const diedAt = await databaseTime(stack);
  await victim.kill();
  // Until its connections are known to be closed.
  await pause(100);
  return { bornAt, diedAt, met: hold.release(), onboarded };
}

/** Of attempts that nobody recorded. */
async function secondsUntilEnded({ database }: OnboardingStack, { bornAt, diedAt }: Death): Promise<number[]> {
  const { rows } = await database.pool.query<{ seconds: number }>(
    `select extract(epoch from d.ended_at - $2::timestamptz)::float8 as seconds
     from delivery_attempt a join delivery d on d.delivery_id = a.delivery_id
     where a.state = 'unknown' and a.started_at between $1::timestamptz and $2::timestamptz`,
    [bornAt, diedAt],
  );
  return rows.map(({ seconds }) => seconds);
}
