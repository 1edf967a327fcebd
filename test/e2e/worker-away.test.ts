import { describe, expect, test } from 'vitest';
import type { Brand } from '../support/brands.ts';
import { stepsOf } from '../support/runs.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();

interface Begun {
  readonly partner: Brand;
  readonly tokenId: string;
  readonly sessionId: string;
}

/** A new partner and an onboarding that is open for it. */
async function begin(): Promise<Begun> {
  const { brands, issuer } = stack;
  const partner = await brands.add();
  const sessionId = await brands.takeIn(issuer, 'kyc-approved');
  return { partner, sessionId, tokenId: await brands.open(issuer, partner, sessionId) };
}

/** What happens while no onboarding worker runs. */
async function withoutWorker<T>(happen: () => Promise<T>): Promise<T> {
  await stack.stopWorker('onboarding');
  try {
    return await happen();
  } finally {
    await stack.startWorker('onboarding');
  }
}

/** As a worker does that is gone before its first task. */
async function startRun({ partner, tokenId }: Begun): Promise<void> {
  const run = { tokenId, issuerId: stack.issuer.id, partnerId: partner.id, sessionKind: 'user' } as const;
  expect(await stack.handoff.startOnboarding(run)).toBe('started');
}

/** An onboarding that the partner accepted, while `happen` comes between its word and the import. */
async function betweenWordAndImport(happen: (begun: Begun) => Promise<unknown>): Promise<Begun> {
  const begun = await begin();
  const { partner, tokenId } = begun;
  await partner.endpoint.heard('share.received', tokenId);
  await withoutWorker(async () => {
    expect(await stack.brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
    await happen(begun);
  });
  return begun;
}

function deleteSession(sessionId: string): Promise<unknown> {
  return stack.database.pool.query('delete from session where session_id = $1', [sessionId]);
}

describe('before the mint', () => {
  test('an onboarding can be revoked but not acknowledged, and then mints nothing', async () => {
    const { brands, issuer, database } = stack;
    const { partner, tokenId } = await withoutWorker(async () => {
      const begun = await begin();
      await startRun(begun);
      expect(await brands.acknowledge(begun.partner, begun.tokenId)).toMatchObject({
        status: 409,
        body: { code: 'onboarding_minting' },
      });
      for (let times = 0; times < 2; times += 1) {
        expect(await brands.revoke(issuer, begun.tokenId)).toMatchObject({ status: 200, body: { status: 'revoked' } });
      }
      return begun;
    });
    const { issuerView } = await stack.expectEnding(partner, tokenId, {
      status: 'revoked',
      reason: 'revoked_by_issuer',
    });
    expect(issuerView).toMatchObject({ expires_at: null, acceptance: null });
    expect(stepsOf(issuerView)).toMatchObject({ mint: { result: 'revoked_by_issuer' } });
    const { rows } = await database.pool.query('select 1 from share_token where token_id = $1', [tokenId]);
    expect(rows).toEqual([]);
    await issuer.endpoint.heard('share.revoked', tokenId);
    expect(partner.endpoint.received).toEqual([]);
  });

  test('the deletion of the source rejects it', async () => {
    const { issuer } = stack;
    const { partner, tokenId } = await withoutWorker(async () => {
      const begun = await begin();
      await startRun(begun);
      await deleteSession(begun.sessionId);
      return begun;
    });
    await stack.expectEnding(partner, tokenId, { status: 'rejected', reason: 'session_not_found' });
    await issuer.endpoint.heard('share.rejected', tokenId);
    expect(partner.endpoint.received).toEqual([]);
  });
});

describe('between the partner’s word and the import', () => {
  test('the deletion of the source rejects it', async () => {
    const { partner, tokenId } = await betweenWordAndImport(({ sessionId }) => deleteSession(sessionId));
    const { issuerView } = await stack.expectEnding(partner, tokenId, {
      status: 'rejected',
      reason: 'source_session_gone',
    });
    expect(issuerView['acknowledgement']).toMatchObject({ state: 'spent', code: 'source_session_gone' });
    await partner.endpoint.heard('share.rejected', tokenId);
  });

  test('a revocation wins', async () => {
    const { partner, tokenId } = await betweenWordAndImport(({ tokenId: id }) => stack.brands.revoke(stack.issuer, id));
    const { issuerView } = await stack.expectEnding(partner, tokenId, {
      status: 'revoked',
      reason: 'revoked_by_issuer',
    });
    expect(issuerView['acknowledgement']).toMatchObject({ accept: true, state: 'refused' });
  });

  test('a lost verification workflow makes it wait again, and another word mends it', async () => {
    const { brands, database } = stack;
    const { partner, tokenId } = await betweenWordAndImport(({ partner: of }) =>
      database.pool.query('update verification_workflow set is_default = false where application_id = $1', [of.id]),
    );
    await expect
      .poll(() => stack.handoff.queryOnboarding(tokenId), { timeout: 20_000 })
      .toMatchObject({ status: 'waiting', refusedWith: 'workflow_required' });
    expect(await brands.read(partner, tokenId)).toMatchObject({
      ended_at: null,
      acknowledgement: { accept: true, state: 'spent', code: 'workflow_required', field: 'workflow_id' },
    });
    expect(await brands.acknowledge(partner, tokenId)).toMatchObject({
      status: 400,
      body: { workflow_id: expect.any(Array) },
    });
    const word = { accept: true, workflow_id: partner.workflows.user };
    expect(await brands.acknowledge(partner, tokenId, word)).toMatchObject({ status: 200 });
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
  });

  test('a blocked entity makes it wait again, and the same word after its unblocking mends it', async () => {
    const { brands, issuer, database } = stack;
    const { partner, tokenId } = await betweenWordAndImport(({ partner: of }) =>
      database.pool.query(
        `insert into entity (entity_id, application_id, session_kind, vendor_data, status)
         values (gen_random_uuid(), $1, 'user', $2, 'BLOCKED')`,
        [of.id, `${issuer.id}:crm-0417`],
      ),
    );
    await expect
      .poll(() => stack.handoff.queryOnboarding(tokenId), { timeout: 20_000 })
      .toMatchObject({ status: 'waiting', refusedWith: 'entity_blocked' });
    expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 403, body: { code: 'entity_blocked' } });
    await database.pool.query(`update entity set status = 'ACTIVE' where application_id = $1`, [partner.id]);
    expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
  });
});
