import { expect, it } from 'vitest';
import { expectEnding, workflowLab } from '../support/workflow-lab.ts';

// Alone in its file: the test server's clock never skips again after a run that ends before its activities.
const lab = workflowLab();

it('an automatic import is not held up by a notice that hangs', async () => {
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
  const { promise: answered, resolve: answer } = Promise.withResolvers<number>();
  const share = lab.share({
    world: { acceptance: 'automatic' },
    destinations: [
      async () => {
        arrive();
        await lab.pass('10m');
        answer(await lab.env.currentTimeMs());
        return 200;
      },
    ],
  });
  // The import waits for the notice to be under way, or its commit would call it off.
  share.fault = async ({ step, isLocal }) => {
    if (step === 'import' && isLocal) return 'down_for_now';
    if (step === 'import') await arrived;
    return undefined;
  };
  await lab.start(share);
  const ended = await lab.end(share);
  expectEnding(share, ended, { status: 'imported', reason: null, sessionId: share.rows().redeemedSessionId ?? 'none' });
  expect(await answered).toBeGreaterThan(ended.closedAt);
});
