import { expect, it } from 'vitest';
import { expectEnding, workflowLab } from '../support/workflow-lab.ts';

const lab = workflowLab();

it('imports what the partner accepted', async () => {
  const share = await lab.begin();
  await lab.pass('5m');
  expect(await lab.view(share)).toMatchObject({ status: 'waiting', acceptance: 'acknowledge' });
  await share.acknowledge();
  const ended = await lab.end(share, 'imported');
  expectEnding(share, ended, { status: 'imported', reason: null, sessionId: share.rows().redeemedSessionId ?? '' });
  expect(share.steps).toEqual(['mint', 'import', 'notify']);
});

it('expires', async () => {
  const share = await lab.begin();
  const ended = await lab.end(share, 'expired');
  expectEnding(share, ended, { status: 'expired', reason: null });
  expect(share.steps).toEqual(['mint', 'close expired', 'notify']);
});
