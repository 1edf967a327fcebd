import { expect, it } from 'vitest';
import type { FakeShare } from '../support/fake-share.ts';
import { expectEnding, hasNoFailedTask, workflowLab, type EndedRun } from '../support/workflow-lab.ts';

const lab = workflowLab();

/** Cancelled in Temporal, and told so to both sides. */
function expectCanceled(share: FakeShare, ended: EndedRun): void {
  expect(ended).toMatchObject({
    result: null,
    state: 'CANCELLED',
    searchAttribute: 'revoked',
    view: { status: 'revoked' },
  });
  expect(ended.history).toSatisfy(hasNoFailedTask);
  expect(share.rows().onboarding).toMatchObject({ ended: true, status: 'revoked', reason: 'cancelled' });
  expect(share.steps.slice(-2)).toEqual(['close revoked', 'notify']);
  expect(share.events()).toContain('share.revoked');
}

it('closes the token as revoked while the run waits', async () => {
  const share = await lab.begin();
  await lab.pass('5m');
  await lab.run(share).cancel();
  expectCanceled(share, await lab.end(share, 'canceled'));
  expect(share.rows().token).toMatchObject({ closedAs: 'revoked', closedReason: 'cancelled' });
  await expect(share.redeem()).rejects.toMatchObject({ name: 'Refusal' });
});

it('ends the delivery that is failing', async () => {
  const share = await lab.begin({ destinations: [() => 500] });
  await lab.pass('5m');
  await lab.run(share).cancel();
  const attempts = share.attempts.length;
  expectCanceled(share, await lab.end(share, 'canceled-during-delivery'));
  await lab.pass('1h');
  expect(share.attempts).toHaveLength(attempts);
});

it('ends an import that Postgres holds up, and the acknowledgement with it', async () => {
  const share = await lab.begin();
  await lab.pass('5m');
  share.fault = ({ step }) => (step === 'import' ? 'down_for_now' : undefined);
  await share.acknowledge();
  await lab.pass('5m');
  await lab.run(share).cancel();
  expectCanceled(share, await lab.end(share, 'canceled-during-import'));
  expect(share.rows().redeemedSessionId).toBeNull();
});

it('ends a mint that Postgres holds up: no token is ever made', async () => {
  const share = lab.share();
  share.fault = ({ step }) => (step === 'mint' ? 'down_for_now' : undefined);
  await lab.start(share);
  await lab.pass('5m');
  await lab.run(share).cancel();
  expectCanceled(share, await lab.end(share, 'canceled-before-mint'));
  expect(share.rows().token).toBeNull();
});

it('comes too late when the partner has imported: the run completes as imported', async () => {
  const share = await lab.begin();
  await lab.pass('5m');
  share.signals = false;
  const sessionId = await share.redeem();
  await lab.run(share).cancel();
  const ended = await lab.end(share, 'imported-despite-cancel');
  expectEnding(share, ended, { status: 'imported', reason: null, sessionId });
  expect(share.steps).toEqual(['mint', 'close revoked', 'notify']);
});

it('closes the token even while Postgres is away', async () => {
  const share = await lab.begin();
  await lab.pass('5m');
  let back = Infinity;
  share.fault = ({ step, nth, now }) => {
    if (step === 'close revoked' && nth === 1) back = now + 20 * 60_000;
    return step !== 'mint' && now < back ? 'down_for_now' : undefined;
  };
  await lab.run(share).cancel();
  expectCanceled(share, await lab.end(share));
});
