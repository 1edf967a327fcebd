import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RUNS_CHANNEL } from '../../src/postgres/outbox.ts';
import { listen } from '../../src/postgres/wake-up.ts';
import { startRuns, type RunStarter } from '../../src/relay/start-runs.ts';
import type { OnboardingRun } from '../../src/client.ts';
import { shareLab, userDocument } from '../support/share-lab.ts';

const lab = shareLab();
const starters: RunStarter[] = [];
const started: OnboardingRun[] = [];
const errors: unknown[] = [];
let down = false;

/** A starter that looks only when it is woken. */
function starter(): RunStarter {
  const client = {
    startOnboarding: async (run: OnboardingRun) => {
      if (down) throw new Error('Temporal is down');
      started.push(run);
      return 'started' as const;
    },
  };
  const onError = (error: unknown) => void errors.push(error);
  const made = startRuns({ tenants: lab.tenants, client, onError, pollMs: 60_000 });
  starters.push(made);
  return made;
}

const openMany = async (count: number) => {
  const sessionId = await lab.takeIn(userDocument());
  return Promise.all(Array.from({ length: count }, () => lab.open(sessionId)));
};
const wishesLeft = () => lab.rows(`select 1 from outbox where wish = 'start'`);
const idsStarted = () => started.map(({ tokenId }) => tokenId).sort();

beforeEach(async () => {
  await lab.rows('truncate outbox');
  down = false;
  started.length = 0;
  errors.length = 0;
});
afterEach(async () => {
  await Promise.all(starters.splice(0).map((one) => one.stop()));
});

describe('runs that are wished for', () => {
  it('are started at once and once, by whichever starter takes them, and their wishes go', async () => {
    const tokenIds = await openMany(70);
    const both = [starter(), starter()];
    for (const one of both) one.wake();
    await expect.poll(wishesLeft).toEqual([]);
    expect(idsStarted()).toEqual([...tokenIds].sort());
    expect(started[0]).toEqual({
      tokenId: started[0]?.tokenId,
      issuerId: lab.issuer.id,
      partnerId: lab.partner.id,
      sessionKind: 'user',
    });
    expect(errors).toEqual([]);
  });

  it('are not started any more when their onboarding has ended', async () => {
    const [tokenId = ''] = await openMany(1);
    await lab.rows(`update onboarding set ended_at = handoff_now(), status = 'revoked' where token_id = $1`, [tokenId]);
    starter().wake();
    await expect.poll(wishesLeft).toEqual([]);
    expect(started).toEqual([]);
  });

  it('stay while Temporal is down, to be tried again later', async () => {
    const [tokenId] = await openMany(1);
    down = true;
    starter();
    await expect.poll(() => errors).toHaveLength(1);
    expect(await lab.rows('select attempts, due_at > handoff_now() as later, subject_id as id from outbox')).toEqual([
      { attempts: 1, later: true, id: tokenId },
    ]);
  });

  it('wake the worker when they are committed', async () => {
    let woken = 0;
    const ears = listen(lab.database.url, RUNS_CHANNEL, () => void (woken += 1));
    try {
      // Once when it begins to listen.
      await expect.poll(() => woken).toBe(1);
      await openMany(1);
      await expect.poll(() => woken).toBe(2);
    } finally {
      await ears.stop();
    }
  });
});
