import { expect, test } from 'vitest';
import { webhookDeliveryWorkflowId } from '../../src/domain/temporal-names.ts';
import { expectNoFailedTask } from '../support/runs.ts';
import { signatureProblems, type ScriptedEndpoint } from '../support/scripted-partner.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();

/** Hands a person over to a new partner whose endpoint follows a script, and returns its `status.updated` deliveries. */
async function handOver(script: ScriptedEndpoint['script']) {
  const { brands, issuer, database } = stack;
  const partner = await brands.add();
  partner.endpoint.script = script;
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  await partner.endpoint.heard('share.received', tokenId);
  expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
  // The retries of a notification never hold the run open.
  const { importedSessionId } = await stack.expectEnding(partner, tokenId, { status: 'imported' });
  const { body } = await partner.endpoint.heard('status.updated', importedSessionId);
  const runId = webhookDeliveryWorkflowId(String(body['event_id']), String(partner.destinationId));
  const attempts = async () => {
    const { rows } = await database.pool.query(
      `select a.attempt, a.state, a.reason, a.response_status as status from delivery_attempt a
         join delivery d using (delivery_id) where d.event_id = $1 order by a.attempt`,
      [body['event_id']],
    );
    return rows;
  };
  return { partner, importedSessionId, runId, attempts };
}

test('a notification that fails goes on in a run of its own until it is delivered', { timeout: 150_000 }, async () => {
  const { partner, importedSessionId, runId, attempts } = await handOver(({ type }, nth) =>
    type === 'status.updated' && nth < 3 ? 500 : 204,
  );
  const { temporal } = stack.handoff;
  await expect
    .poll(() => temporal.workflow.getHandle(runId).describe(), { timeout: 20_000 })
    .toMatchObject({
      type: 'WebhookDelivery',
      status: { name: 'RUNNING' },
    });
  // About 5 s and then 55 s.
  expect(await temporal.workflow.getHandle(runId).result()).toBe('delivered');
  expectNoFailedTask(await temporal.workflow.getHandle(runId).fetchHistory());
  expect(await attempts()).toEqual([
    { attempt: 1, state: 'failed', reason: 'http_500', status: 500 },
    { attempt: 2, state: 'failed', reason: 'http_500', status: 500 },
    { attempt: 3, state: 'delivered', reason: 'http_204', status: 204 },
  ]);

  const received = partner.endpoint.all('status.updated', importedSessionId);
  expect(received.map(({ headers }) => headers['webhook-attempt'])).toEqual(['1', '2', '3']);
  expect(new Set(received.map(({ body }) => body['event_id'])).size).toBe(1);
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  // Stamped and signed anew, each for its own moment.
  const stamps = received.map(({ body }) => Number(body['timestamp']));
  expect(stamps).toEqual([...new Set(stamps)].sort((a, b) => a - b));
  expect(new Set(received.map(({ headers }) => headers['x-signature-v2'])).size).toBe(3);
  expect(signatureProblems(partner.endpoint)).toEqual([]);

  // The ping of the new destination came long before.
  expect(partner.endpoint.pings.map(({ headers }) => headers['x-didit-test-webhook'])).toEqual(['true']);
  expect(signatureProblems({ ...partner.endpoint, received: partner.endpoint.pings })).toEqual([]);
});

test('a destination that is gone ends a notification at once, without a run', async () => {
  const { partner, importedSessionId, runId, attempts } = await handOver(({ type }) =>
    type === 'status.updated' ? 410 : 204,
  );
  await expect.poll(attempts).toEqual([{ attempt: 1, state: 'failed', reason: 'gone', status: 410 }]);
  const destination = await stack.brands.done(partner, 'GET', `/v3/webhook/destinations/${partner.destinationId}/`);
  expect(destination['enabled']).toBe(false);
  await expect(stack.handoff.temporal.workflow.getHandle(runId).describe()).rejects.toThrow('workflow not found');
  expect(partner.endpoint.all('status.updated', importedSessionId)).toHaveLength(1);
});
