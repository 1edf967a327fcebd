import { createNamespace } from '../../test/support/namespace.ts';
import { percentile } from '../frame.ts';
import { openCalls } from '../http-calls.ts';
import { amount, type Lab } from '../lab.ts';
import type { ShareOrder } from '../onboarding/brands.ts';
import { startOnboardingStack, type OnboardingStack } from '../onboarding/stack.ts';
import { fillSessions } from './fill.ts';
import { smallDocument } from './small-document.ts';
import { anySessions } from './stored-sessions.ts';

/** Sessions that the issuer takes in itself, to be copied from. */
const SOURCES = 20;

/** A stack with an issuer that has so many sessions. */
interface Filled {
  readonly name: string;
  readonly stack: OnboardingStack;
  /** Of sessions picked from all of them, none twice. */
  readonly orders: (count: number) => ShareOrder[];
}

/**
 * How long a whole onboarding takes, one at a time, where its issuer has many sessions. Each size has a stack of its own,
 * so that they can take turns.
 */
export async function measureOnboardingsBesideStored(lab: Lab) {
  const wanted = lab.quick ? [1_000, 100_000] : [1_000, 100_000, 1_000_000];
  const sizes = wanted.map((full) => amount({ ...lab, quick: false }, { full, quick: full }));
  const alone = amount(lab, { full: 40, quick: 10 });
  const filled: Filled[] = [];
  // A partner imports a session once: each turn, the one to warm up too, needs others.
  for (const size of sizes) filled.push(await fill(lab, size, alone * (lab.rounds + 1)));
  const p50Of = async ({ stack, orders }: Filled) => {
    const onboarded = await stack.onboard(orders(alone), 1);
    await stack.settled(onboarded);
    return percentile(onboarded.latencies, 0.5);
  };
  for (const one of filled) await p50Of(one);

  const p50s = new Map<Filled, number[]>(filled.map((one) => [one, []]));
  for (let round = 1; round <= lab.rounds; round += 1) {
    for (const one of round % 2 === 1 ? filled : filled.toReversed()) {
      const p50 = await p50Of(one);
      p50s.get(one)?.push(p50);
      lab.say(`round ${round} of ${lab.rounds}, ${one.name} sessions: p50 of an onboarding ${p50.toFixed(1)} ms`);
    }
  }
  const all = [...p50s.values()];
  const [least = [], most = []] = [all[0], all.at(-1)];
  return {
    ratios: { growth_onboarding_stored: most.map((p50, round) => p50 / (least[round] ?? Number.NaN)) },
    figures: Object.fromEntries(filled.map((one) => [`onboarding_at_${one.name}_stored_p50Ms`, p50s.get(one) ?? []])),
  };
}

async function fill(lab: Lab, size: number, toShare: number): Promise<Filled> {
  const { address } = await lab.servers.temporal();
  const stack = await startOnboardingStack(lab, await createNamespace(address));
  const [issuer] = stack.issuers;
  if (issuer === undefined) throw new Error('a stack has issuers');
  const calls = openCalls(lab, stack.url, 1);
  for (let at = 0; at < Math.min(SOURCES, size); at += 1) {
    await calls.call(issuer, 'POST', '/v1/sessions/', smallDocument(`${size}-${at}`));
  }
  await fillSessions(stack.database.pool, issuer.id, size);
  lab.say(`${size} sessions are stored`);
  const partner = issuer.partners.acknowledge;
  const picked = await anySessions(stack.database.pool, issuer, toShare);
  return {
    name: String(size),
    stack,
    orders: (count) => picked.splice(0, count).map((sessionId) => ({ issuer, partner, sessionId })),
  };
}
