import { addBrands } from '../brands.ts';
import { percentile } from '../frame.ts';
import { openCalls } from '../http-calls.ts';
import { inFlight } from '../in-flight.ts';
import { amount, residentMiB, type Lab } from '../lab.ts';
import { startOnboardingStack } from '../onboarding/stack.ts';
import { startReceiver } from '../receiver.ts';
import { until } from '../until.ts';
import { smallDocument } from './small-document.ts';

/** Opened at a time. */
const AT_A_TIME = 25;
const SLICE = 100;
const TTL_SECONDS = 86_400;

/**
 * How long a whole onboarding takes, one at a time, while others wait for a partner that says nothing, and what memory each
 * of those costs the worker that runs it.
 */
export async function measureOpenOnboardings(lab: Lab) {
  const stack = await startOnboardingStack(lab);
  const receiver = await startReceiver(lab);
  const calls = openCalls(lab, stack.url, AT_A_TIME);
  const [issuer, partner] = await addBrands(stack.database.url, 2);
  if (issuer === undefined || partner === undefined) throw new Error('two brands were made');
  await calls.call(partner, 'POST', '/v3/webhook/destinations/', {
    url: `${receiver.origin}/silent`,
    subscribed_events: ['share.received'],
  });
  const proposed = await calls.call(issuer, 'POST', '/v1/connections/', { partner_application_id: partner.id });
  const terms = { status: 'active', acceptance: 'acknowledge' };
  await calls.call(partner, 'PATCH', `/v1/connections/${String(proposed['connection_id'])}/`, terms);
  const shared = await calls.call(issuer, 'POST', '/v1/sessions/', smallDocument('shared'));
  const order = {
    session_id: String(shared['session_id']),
    for_application_id: partner.id,
    ttl_in_seconds: TTL_SECONDS,
  };

  const waiting = async () => {
    const { rows } = await stack.database.pool.query<{ open: number }>(
      `select count(*)::float8 as open from onboarding where ended_at is null and status = 'waiting'`,
    );
    return rows[0]?.open ?? 0;
  };
  // Some at a time: a backlog of runs that were not begun would be measured otherwise.
  const openUpTo = async (count: number) => {
    for (let open = await waiting(); open < count; open = await waiting()) {
      const wanted = Array.from({ length: Math.min(count - open, SLICE) }, () => order);
      await inFlight(wanted, AT_A_TIME, (one) => calls.call(issuer, 'POST', '/v1/onboardings/', one));
      await until('onboardings that wait', async () => (await waiting()) >= open + wanted.length);
    }
  };
  const alone = amount(lab, { full: 40, quick: 10 });
  const p50Of = async (atATime: number) => {
    const onboarded = await stack.onboard(await stack.orders('acknowledge', alone), atATime);
    await stack.settled(onboarded);
    return percentile(onboarded.latencies, 0.5);
  };
  const onboard = async () => {
    const samples: number[] = [];
    for (let round = 0; round < lab.rounds; round += 1) samples.push(await p50Of(1));
    return samples;
  };

  await p50Of(4);
  const levels = (lab.quick ? [0, 200] : [0, 1_000, 10_000]).map((full) =>
    full === 0 ? 0 : amount({ ...lab, quick: false }, { full, quick: full }),
  );
  const figures: Record<string, number[]> = {};
  const p50s: number[][] = [];
  const memory: number[] = [];
  for (const level of levels) {
    await openUpTo(level);
    const samples = await onboard();
    p50s.push(samples);
    memory.push(residentMiB(stack.processes.onboarding.pid));
    figures[`onboarding_at_${level}_open_p50Ms`] = samples;
    figures[`onboarding_worker_at_${level}_open_MiB`] = memory.slice(-1);
    lab.say(
      `${level} onboardings open: p50 ${percentile(samples, 0.5).toFixed(1)} ms, worker ${memory.at(-1)?.toFixed(0)} MiB`,
    );
  }
  const [none = [], most = []] = [p50s[0], p50s.at(-1)];
  const grown = (memory.at(-1) ?? Number.NaN) - (memory[0] ?? Number.NaN);
  return {
    ratios: { growth_onboarding: most.map((p50, round) => p50 / (none[round] ?? Number.NaN)) },
    figures: { ...figures, onboarding_worker_KiB_per_open: [(grown * 1024) / Math.max(1, levels.at(-1) ?? 1)] },
  };
}
