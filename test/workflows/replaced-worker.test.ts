import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { webhookDeliveryWorkflowId } from '../../src/domain/temporal-names.ts';
import type { FakeShare } from '../support/fake-share.ts';
import { expectEnding, workflowLab } from '../support/workflow-lab.ts';

const lab = workflowLab({ maxCachedWorkflows: 0 });
const imported = (share: FakeShare) =>
  ({ status: 'imported', reason: null, sessionId: share.rows().redeemedSessionId ?? 'none' }) as const;

describe('a worker that is replaced', () => {
  it('while the run waits: the new one goes on, and mints nothing again', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    await lab.replaceWorkers();
    await share.acknowledge();
    expectEnding(share, await lab.end(share, 'imported-by-another-worker'), imported(share));
    expect(share.steps).toEqual(['mint', 'import', 'notify']);
    expect(share.attempts).toHaveLength(1);
  });

  it('while delivery fails: the retries go on, and a message sent meanwhile counts', async () => {
    const share = await lab.begin({ destinations: [() => 500] });
    await lab.pass('5m');
    await lab.replaceWorkers(() => share.revoke());
    expectEnding(share, await lab.end(share), { status: 'revoked', reason: 'revoked_by_issuer' });
  });

  it('while Postgres is away for the import', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    let down = true;
    share.fault = ({ step }) => (step === 'import' && down ? 'down_for_now' : undefined);
    await share.acknowledge();
    await lab.pass('5m');
    await lab.replaceWorkers();
    down = false;
    expectEnding(share, await lab.end(share), imported(share));
    expect(share.steps).toEqual(['mint', 'import', 'notify']);
  });
});

it('a delivery’s schedule is carried on by a new worker', async () => {
  const ids = { deliveryId: randomUUID(), eventId: randomUUID(), destinationId: randomUUID() };
  const run = { ...ids, applicationId: randomUUID(), delayMs: 3_600_000 };
  const attempts: number[] = [];
  lab.attemptDelivery.set(run.deliveryId, () => {
    attempts.push(1);
    return { ended: true, state: 'delivered' };
  });
  await lab.client.startWebhookDelivery(run);
  await lab.pass('10m');
  await lab.replaceWorkers();
  expect(attempts).toEqual([]);
  const handle = lab.env.client.workflow.getHandle(webhookDeliveryWorkflowId(run.eventId, run.destinationId));
  expect(await handle.result()).toBe('delivered');
  expect(attempts).toEqual([1]);
});
