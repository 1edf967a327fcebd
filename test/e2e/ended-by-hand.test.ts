import { randomUUID } from 'node:crypto';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { describe, expect, test } from 'vitest';
import { PARTNER_ONBOARDING, TASK_QUEUES } from '../../src/domain/temporal-names.ts';
import type { Brand } from '../support/brands.ts';
import { expectFinishedSteps, expectNoFailedTask, expectOneOfEach, resultOfRun, untilEnded } from '../support/runs.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();

interface Begun {
  readonly partner: Brand;
  readonly tokenId: string;
  readonly token: string;
}

/** A new partner and an onboarding that waits for its word. */
async function beginDelivered(): Promise<Begun> {
  const { brands, issuer } = stack;
  const partner = await brands.add();
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  const { body } = await partner.endpoint.heard('share.received', tokenId);
  await expect.poll(async () => (await stack.handoff.queryOnboarding(tokenId)).status).toBe('waiting');
  return { partner, tokenId, token: String(body['share_token']) };
}

/** Lets the relay compare a row with its run now, or not soon. */
async function compareWithTemporal(tokenId: string, when: 'now' | 'not soon'): Promise<void> {
  const checkedAt = when === 'now' ? `handoff_now() - interval '1 hour'` : `handoff_now() + interval '1 hour'`;
  await stack.database.pool.query(`update onboarding set checked_at = ${checkedAt} where token_id = $1`, [tokenId]);
}

/** The row is closed as revoked, both sides hear of it, and the token redeems no more. */
async function expectRevoked({ partner, tokenId, token }: Begun, reason: string): Promise<void> {
  const { brands, issuer, database } = stack;
  const view = await untilEnded(brands, issuer, tokenId);
  expect(view).toMatchObject({ status: 'revoked', reason });
  expectFinishedSteps(view);
  await expectOneOfEach(database.pool, tokenId, 'revoked');
  await issuer.endpoint.heard('share.revoked', tokenId);
  await partner.endpoint.heard('share.revoked', tokenId);
  const call = { share_token: token };
  expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', call)).toMatchObject({
    status: 401,
    body: { code: 'share_token_revoked' },
  });
  expectNoFailedTask(await stack.handoff.temporal.workflow.getHandle(tokenId).fetchHistory());
}

describe('a second run for a token', () => {
  test('is refused while the first one runs, and after it', async () => {
    const { handoff, issuer, brands } = stack;
    const { partner, tokenId } = await beginDelivered();
    const run = { tokenId, issuerId: issuer.id, partnerId: partner.id, sessionKind: 'user' } as const;
    const startAgain = async () => {
      expect(await handoff.startOnboarding(run)).toBe('already_started');
      const start = handoff.temporal.workflow.start(PARTNER_ONBOARDING, {
        workflowId: tokenId,
        taskQueue: TASK_QUEUES.onboarding,
        args: [{ tokenId }],
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
      });
      await expect(start).rejects.toThrow(WorkflowExecutionAlreadyStartedError);
    };
    await startAgain();
    await brands.acknowledge(partner, tokenId);
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
    await startAgain();
    expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 409, body: { status: 'imported' } });
    expect(await handoff.signalOnboarding(tokenId, 'tokenRevoked', tokenId)).toBe('not_found');
  });
});

describe('terminated in Temporal', () => {
  test('its row is closed as revoked', async () => {
    const begun = await beginDelivered();
    await stack.handoff.temporal.workflow.getHandle(begun.tokenId).terminate('by hand');
    await compareWithTemporal(begun.tokenId, 'now');
    await expectRevoked(begun, 'run_terminated');
  });

  test('with an acceptance that was not carried out: that is refused', async () => {
    const { brands, handoff } = stack;
    const begun = await beginDelivered();
    await compareWithTemporal(begun.tokenId, 'not soon');
    await handoff.temporal.workflow.getHandle(begun.tokenId).terminate('by hand');
    expect(await brands.acknowledge(begun.partner, begun.tokenId)).toMatchObject({ status: 200 });
    await compareWithTemporal(begun.tokenId, 'now');
    await expectRevoked(begun, 'run_terminated');
    const view = await brands.read(begun.partner, begun.tokenId);
    expect(view['acknowledgement']).toMatchObject({ accept: true, state: 'refused' });
  });

  test('after the partner’s own import: the row keeps it', async () => {
    const { brands, handoff, issuer, database } = stack;
    const { partner, tokenId, token } = await beginDelivered();
    await compareWithTemporal(tokenId, 'not soon');
    await handoff.temporal.workflow.getHandle(tokenId).terminate('by hand');
    const call = { share_token: token };
    expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', call)).toMatchObject({ status: 201 });
    expect(await untilEnded(brands, issuer, tokenId)).toMatchObject({ status: 'imported' });
    await issuer.endpoint.heard('share.imported', tokenId);
    await expectOneOfEach(database.pool, tokenId, 'imported');
  });
});

test('a run of a token that has no onboarding is rejected', async () => {
  const tokenId = randomUUID();
  const { issuer, handoff } = stack;
  await handoff.startOnboarding({ tokenId, issuerId: issuer.id, partnerId: issuer.id, sessionKind: 'user' });
  expect(await resultOfRun(handoff.temporal, tokenId)).toEqual({ status: 'rejected', reason: 'unknown_onboarding' });
});

test('cancelled in Temporal, a run closes its token itself and shows as canceled', async () => {
  const begun = await beginDelivered();
  await compareWithTemporal(begun.tokenId, 'not soon');
  const handle = stack.handoff.temporal.workflow.getHandle(begun.tokenId);
  await handle.cancel();
  expect(await resultOfRun(stack.handoff.temporal, begun.tokenId)).toBeNull();
  expect((await handle.describe()).status.name).toBe('CANCELLED');
  await expectRevoked(begun, 'cancelled');
});

test('deleted from Temporal with its row open, a run is started again', async () => {
  const { brands, handoff } = stack;
  const { partner, tokenId } = await beginDelivered();
  await compareWithTemporal(tokenId, 'not soon');
  const { namespace } = handoff.temporal.options;
  const workflowExecution = { workflowId: tokenId };
  // Temporal puts a deletion off for longer and longer while it is busy with the run's end: asked anew, it looks at once.
  const deleted = async () => {
    await handoff.temporal.workflowService.deleteWorkflowExecution({ namespace, workflowExecution }).catch(() => null);
    return handoff.describeOnboarding(tokenId);
  };
  await expect.poll(deleted, { timeout: 50_000, interval: 1_000 }).toBe('unknown');
  await compareWithTemporal(tokenId, 'now');
  await expect.poll(() => handoff.describeOnboarding(tokenId), { timeout: 20_000 }).toBe('running');
  expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
  await stack.expectEnding(partner, tokenId, { status: 'imported' });
  // The second run found the first one's delivery.
  expect(partner.endpoint.all('share.received', tokenId)).toHaveLength(1);
});

test('an imported run that was deleted from Temporal leaves its token used', async () => {
  const { brands, handoff } = stack;
  const { partner, tokenId, token } = await beginDelivered();
  expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
  await stack.expectEnding(partner, tokenId, { status: 'imported' });
  const { namespace } = handoff.temporal.options;
  const workflowExecution = { workflowId: tokenId };
  // Temporal puts a deletion off for longer and longer while it is busy with the run's end: asked anew, it looks at once.
  const deleted = async () => {
    await handoff.temporal.workflowService.deleteWorkflowExecution({ namespace, workflowExecution }).catch(() => null);
    return handoff.describeOnboarding(tokenId);
  };
  await expect.poll(deleted, { timeout: 50_000, interval: 1_000 }).toBe('unknown');
  expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', { share_token: token })).toMatchObject({
    status: 403,
    body: { code: 'already_imported' },
  });
});

test('runs are found by their ending, parties and kind', async () => {
  const { handoff, issuer } = stack;
  const { partner, tokenId } = await beginDelivered();
  const listed = async (status: string) => {
    const query = `HandoffStatus = '${status}' and HandoffIssuer = '${issuer.id}' and HandoffPartner = '${partner.id}'
      and HandoffSessionKind = 'user' and HandoffExpiresAt > '2000-01-01T00:00:00Z'`;
    const found: string[] = [];
    for await (const { workflowId } of handoff.temporal.workflow.list({ query })) found.push(workflowId);
    return found;
  };
  await expect.poll(() => listed('waiting'), { timeout: 20_000 }).toEqual([tokenId]);
  await stack.brands.revoke(issuer, tokenId);
  await expect.poll(() => listed('revoked'), { timeout: 20_000 }).toEqual([tokenId]);
  expect(await listed('waiting')).toEqual([]);
});
