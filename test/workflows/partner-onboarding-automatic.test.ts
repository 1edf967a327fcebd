import { expect, it } from 'vitest';
import { expectEnding, workflowLab } from '../support/workflow-lab.ts';

const lab = workflowLab();
const imported = (share: ReturnType<typeof lab.share>) =>
  ({ status: 'imported', reason: null, sessionId: share.rows().redeemedSessionId ?? 'none' }) as const;

it('imports at once, and leaves its notice to the sender', async () => {
  const share = await lab.begin({ world: { acceptance: 'automatic' } });
  expectEnding(share, await lab.end(share, 'imported-automatic-notice-by-sender'), imported(share));
  expect(share.steps).toEqual(['mint', 'import', 'notify']);
  expect(share.attempts).toEqual([]);
  expect([...share.rows().events.values()]).toContain('share.received');
});

it('falls back to the partner’s word when the partner can mend what refuses the import', async () => {
  const share = await lab.begin({ world: { acceptance: 'automatic', defaultWorkflow: null } });
  await lab.pass('10m');
  expect(await lab.view(share)).toMatchObject({
    status: 'waiting',
    acceptance: 'acknowledge',
    refusedWith: 'workflow_required',
  });
  expect(share.attempts.filter(({ withToken }) => withToken)).toHaveLength(1);
  await share.acknowledge({ workflowId: '0190b0de-0000-7000-8000-0000000000f1' });
  expectEnding(share, await lab.end(share, 'fallback-imported'), imported(share));
  expect(share.steps).toEqual(['mint', 'import', 'look', 'import', 'notify']);
});

it('falls back as well when the answer that told of the refusal was lost', async () => {
  const share = lab.share({ world: { acceptance: 'automatic', defaultWorkflow: null } });
  share.fault = ({ step, nth }) => (step === 'import' && nth === 1 ? 'answer_lost' : undefined);
  await lab.start(share);
  await lab.pass('10m');
  expect(await lab.view(share)).toMatchObject({ status: 'waiting', acceptance: 'acknowledge' });
  expectEnding(share, await lab.end(share, 'fallback-expired'), { status: 'expired', reason: null });
  expect(share.steps).toEqual(['mint', 'import', 'import', 'close expired', 'notify']);
});

it('is undeliverable after falling back to a partner whose endpoint is gone', async () => {
  const share = await lab.begin({
    world: { acceptance: 'automatic', defaultWorkflow: null },
    destinations: [() => 410],
  });
  expectEnding(share, await lab.end(share, 'fallback-undeliverable'), { status: 'undeliverable', reason: 'gone' });
});

it('is rejected when nobody can mend what refuses the import', async () => {
  const share = lab.share({ world: { acceptance: 'automatic' } });
  share.fault = ({ step }) => {
    if (step === 'import') share.world.sessionStatus = 'Resubmitted';
    return undefined;
  };
  await lab.start(share);
  expectEnding(share, await lab.end(share, 'rejected-automatic'), {
    status: 'rejected',
    reason: 'source_not_shareable',
  });
  expect(share.steps).toEqual(['mint', 'import', 'close rejected', 'notify']);
});

it('expires when Postgres was away until the expiry', async () => {
  const share = lab.share({ world: { acceptance: 'automatic' } });
  let back = Infinity;
  share.fault = ({ step, now }) => {
    if (step === 'mint') back = now + 2 * 3_600_000;
    return step !== 'mint' && now < back ? 'down_for_now' : undefined;
  };
  await lab.start(share);
  expectEnding(share, await lab.end(share, 'outage-automatic'), { status: 'expired', reason: null });
  expect(share.steps).toEqual(['mint', 'close expired', 'notify']);
});

it('yields to a revocation while Postgres is away for the import', async () => {
  const share = lab.share({ world: { acceptance: 'automatic' } });
  let down = true;
  share.fault = ({ step }) => (step === 'import' && down ? 'down_for_now' : undefined);
  await lab.start(share);
  await lab.pass('10m');
  await share.revoke();
  down = false;
  expectEnding(share, await lab.end(share), { status: 'revoked', reason: 'revoked_by_issuer' });
});
