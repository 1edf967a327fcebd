import { describe, expect, it } from 'vitest';
import type { FakeShare } from '../support/fake-share.ts';
import { expectEnding, workflowLab, type EndedRun } from '../support/workflow-lab.ts';

const lab = workflowLab();
const MINUTE = 60_000;
const imported = (share: FakeShare) =>
  ({ status: 'imported', reason: null, sessionId: share.rows().redeemedSessionId ?? 'none' }) as const;

/** Postgres does not answer for so long, from the first call of `step` on. */
function postgresAway(share: FakeShare, step: string, ms: number): void {
  let back: number | undefined;
  share.fault = (call) => {
    if (call.step === step) back ??= call.now + ms;
    return back !== undefined && call.now < back ? 'down_for_now' : undefined;
  };
}

/** Activities that went through the task queue, by type. */
function regularActivities({ history }: EndedRun): string[] {
  return (history.events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled }) => {
    const name = scheduled?.activityType?.name;
    return typeof name === 'string' ? [name] : [];
  });
}

describe('while Postgres is away', () => {
  it('the mint waits for two hours', async () => {
    const share = lab.share();
    postgresAway(share, 'mint', 120 * MINUTE);
    await lab.start(share);
    await lab.pass(130 * MINUTE);
    expect(await lab.view(share)).toMatchObject({ status: 'waiting' });
    await share.acknowledge();
    expectEnding(share, await lab.end(share, 'outage-mint'), imported(share));
    expect(share.steps).toEqual(['mint', 'import', 'notify']);
  });

  it('the import of an acknowledged token waits for twenty minutes, and happens once', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    postgresAway(share, 'import', 20 * MINUTE);
    await share.acknowledge();
    const ended = await lab.end(share, 'outage-import');
    expectEnding(share, ended, imported(share));
    expect(share.steps).toEqual(['mint', 'import', 'notify']);
    expect(regularActivities(ended)).toEqual(['deliverShareToken', 'importSharedSession']);
  });

  it('the close of an expired token waits for two hours', async () => {
    const share = await lab.begin();
    postgresAway(share, 'close expired', 120 * MINUTE);
    expectEnding(share, await lab.end(share, 'outage-close'), { status: 'expired', reason: null });
    expect(share.steps).toEqual(['mint', 'close expired', 'notify']);
  });

  it('a look waits until the expiry, and the close after it finds what happened', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    postgresAway(share, 'look', 120 * MINUTE);
    await share.revoke();
    const ended = await lab.end(share, 'outage-look');
    expectEnding(share, ended, { status: 'revoked', reason: 'revoked_by_issuer' });
    expect(share.steps).toEqual(['mint', 'close expired', 'notify']);
  });

  it('the notification waits for two hours', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    postgresAway(share, 'notify', 120 * MINUTE);
    await share.refuse();
    expectEnding(share, await lab.end(share, 'outage-notify'), { status: 'refused', reason: 'refused_by_partner' });
    expect(share.steps).toEqual(['mint', 'import', 'notify']);
  });

  it('delivery is tried again, within a minute of its return however long it was', async () => {
    const share = lab.share();
    postgresAway(share, 'deliver', 20 * MINUTE);
    await lab.start(share);
    await lab.pass('21m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting' });
    expect(share.attempts).toHaveLength(1);
    expectEnding(share, await lab.end(share), { status: 'expired', reason: null });
  });
});

it('a moment’s outage is ridden out by quick tries, which cost no task', async () => {
  const share = await lab.begin();
  await lab.pass('5m');
  share.fault = ({ step, nth }) => (step === 'import' && nth <= 2 ? 'down' : undefined);
  await share.acknowledge();
  const ended = await lab.end(share, 'imported-after-quick-tries');
  expectEnding(share, ended, imported(share));
  expect(share.steps).toEqual(['mint', 'import', 'notify']);
  expect(regularActivities(ended)).toEqual(['deliverShareToken']);
});

it.each([
  ['mint', ['mint', 'mint', 'import', 'notify']],
  ['import', ['mint', 'import', 'import', 'notify']],
  ['notify', ['mint', 'import', 'notify', 'notify']],
])('the lost answer of a committed %s changes nothing twice', async (step, steps) => {
  const share = lab.share();
  share.fault = (call) => (call.step === step && call.nth === 1 ? 'answer_lost' : undefined);
  await lab.start(share);
  await lab.pass('5m');
  await share.acknowledge();
  expectEnding(share, await lab.end(share), imported(share));
  expect(share.steps).toEqual(steps);
  expect(share.events().sort()).toEqual([
    'share.imported',
    'share.imported',
    'share.minted',
    'share.received',
    'status.updated',
  ]);
});

it('the lost answer of a committed close ends the run as closed', async () => {
  const share = lab.share();
  share.fault = ({ step, nth }) => (step === 'close expired' && nth === 1 ? 'answer_lost' : undefined);
  await lab.start(share);
  expectEnding(share, await lab.end(share), { status: 'expired', reason: null });
  expect(share.events().filter((type) => type === 'share.expired')).toHaveLength(2);
});

it('the lost answer of a delivery that arrived sends it again to nobody', async () => {
  const share = lab.share();
  share.fault = ({ step, nth }) => (step === 'deliver' && nth === 1 ? 'answer_lost' : undefined);
  await lab.start(share);
  await lab.pass('5m');
  expect(await lab.view(share)).toMatchObject({ status: 'waiting' });
  expect(share.attempts).toHaveLength(1);
  expectEnding(share, await lab.end(share), { status: 'expired', reason: null });
});
