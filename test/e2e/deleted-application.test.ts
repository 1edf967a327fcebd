import { expect, test } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Brand } from '../support/brands.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();

async function call(method: string, path: string, body?: JsonObject, token?: string): Promise<JsonObject> {
  const response = await fetch(new URL(path, stack.apiUrl), {
    method,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === '' ? {} : (JSON.parse(text) as JsonObject);
}

/** Somebody whose organization has taken a brand over, and who can delete it. */
async function ownerOf(brand: Brand): Promise<{ deletes: () => Promise<unknown> }> {
  const email = `owner-of-${brand.id}@aurora.example`;
  await call('POST', '/auth/v2/programmatic/register/', { email, password: 'Correct-Horse-7' });
  const { code } = await call('GET', `/auth/v2/development/one-time-code/?email=${email}`);
  const proven = await call('POST', '/auth/v2/programmatic/verify-email/', { email, code: String(code) });
  const { uuid } = proven['organization'] as { uuid: string };
  await stack.database.pool.query('update application set organization_id = $2 where application_id = $1', [
    brand.id,
    uuid,
  ]);
  const path = `/auth/v2/organizations/me/${uuid}/applications/${brand.id}/`;
  return { deletes: () => call('DELETE', path, undefined, String(proven['access_token'])) };
}

test('the runs of a deleted application end as revoked, in both of its roles', async () => {
  const { brands, issuer } = stack;
  const gone = await brands.add();
  const receives = await brands.open(issuer, gone, await brands.takeIn(issuer, 'kyc-approved'));
  await gone.endpoint.heard('share.received', receives);
  const issues = await brands.open(gone, issuer, await brands.takeIn(gone, 'kyc-in-review'));
  await issuer.endpoint.heard('share.received', issues);
  const owner = await ownerOf(gone);
  await owner.deletes();
  const ending = { status: 'revoked', reason: 'application_deleted' } as const;
  await stack.expectEnding(gone, receives, ending);
  await issuer.endpoint.heard('share.revoked', receives);
  await issuer.endpoint.heard('share.revoked', issues);
  await expect
    .poll(async () => (await stack.handoff.temporal.workflow.getHandle(issues).describe()).status.name)
    .toBe('COMPLETED');
  expect(await brands.read(issuer, issues)).toMatchObject(ending);
});
