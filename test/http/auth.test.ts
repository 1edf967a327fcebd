import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { newApiKey } from '../../src/accounts/api-keys.ts';
import type { Privileges, Resource } from '../../src/accounts/privileges.ts';
import { testApi } from './api.ts';

const api = testApi();
const ID = '0198c0de-0000-7000-8000-000000000000';

const ROUTES: readonly ['GET' | 'POST' | 'PATCH' | 'DELETE', string, Resource, 'read' | 'write'][] = [
  ['POST', `/v3/session/${ID}/share/`, 'sessions', 'write'],
  ['POST', '/v3/session/import-shared/', 'sessions', 'write'],
  ['GET', `/v3/session/${ID}/decision/`, 'sessions', 'read'],
  ['GET', `/v3/session/${ID}/`, 'sessions', 'read'],
  ['POST', '/v1/sessions/', 'sessions', 'write'],
  ['GET', `/v1/sessions/${ID}/provenance/`, 'sessions', 'read'],
  ['POST', '/v1/onboardings/', 'onboardings', 'write'],
  ['GET', '/v1/onboardings/', 'onboardings', 'read'],
  ['GET', `/v1/onboardings/${ID}/`, 'onboardings', 'read'],
  ['POST', `/v1/onboardings/${ID}/acknowledge/`, 'onboardings', 'write'],
  ['POST', `/v1/onboardings/${ID}/revoke/`, 'onboardings', 'write'],
  ['POST', '/v1/connections/', 'connections', 'write'],
  ['GET', '/v1/connections/', 'connections', 'read'],
  ['GET', `/v1/connections/${ID}/`, 'connections', 'read'],
  ['PATCH', `/v1/connections/${ID}/`, 'connections', 'write'],
  ['POST', '/v3/webhook/destinations/', 'webhooks', 'write'],
  ['GET', '/v3/webhook/destinations/', 'webhooks', 'read'],
  ['GET', `/v3/webhook/destinations/${ID}/`, 'webhooks', 'read'],
  ['PATCH', `/v3/webhook/destinations/${ID}/`, 'webhooks', 'write'],
  ['DELETE', `/v3/webhook/destinations/${ID}/`, 'webhooks', 'write'],
];

describe.each(ROUTES)('%s %s', (method, url, resource, access) => {
  it('asks for a key before it reads anything else', async () => {
    const forbidden = {
      detail: 'Authentication credentials were not provided or are invalid.',
      code: 'authentication_failed',
    };
    const { key } = api.issuer;
    for (const text of [null, '', 'hnd', `${key}x`, key.slice(0, -1), newApiKey('sandbox').text, `${key}, ${key}`]) {
      const answer = await api.call(text, method, url, method === 'GET' ? undefined : '{"not json', {
        'content-type': 'application/json',
      });
      expect(answer).toMatchObject({ status: 401, body: forbidden });
    }
  });

  it(`asks for ${resource}: ${access}`, async () => {
    const without: Privileges = { sessions: 'write', onboardings: 'write', connections: 'write', webhooks: 'write' };
    const privileges = access === 'write' ? { ...without, [resource]: 'read' as const } : omit(without, resource);
    const weak = await api.newKey(api.issuer, privileges);
    expect(await api.call(weak, method, url, method === 'GET' ? undefined : {})).toMatchObject({
      status: 403,
      body: { detail: 'You do not have permission to perform this action.', code: 'permission_denied' },
    });
    const strong = await api.newKey(api.issuer, { [resource]: access });
    const answer = await api.call(strong, method, url, method === 'GET' ? undefined : {});
    expect([200, 400, 404]).toContain(answer.status);
  });
});

function omit(privileges: Privileges, resource: Resource): Privileges {
  return Object.fromEntries(Object.entries(privileges).filter(([name]) => name !== resource));
}

describe('a key that ended', () => {
  it('is refused when it has expired', async () => {
    const expired = await api.newKey(api.issuer, { onboardings: 'read' }, '2020-01-01T00:00:00Z');
    expect((await api.call(expired, 'GET', '/v1/onboardings/')).status).toBe(401);
  });

  it('is refused a second after its revocation, though it was in use', async () => {
    const key = await api.newKey(api.issuer, { onboardings: 'read' });
    expect((await api.call(key, 'GET', '/v1/onboardings/')).status).toBe(200);
    await api.database.pool.query('update api_key set revoked_at = now() where key_id = $1', [key.split('_')[2]]);
    await sleep(1_000);
    expect((await api.call(key, 'GET', '/v1/onboardings/')).status).toBe(401);
  });

  it('is stored as a hash only', async () => {
    const stored = await api.database.pool.query<{ row: string }>('select k::text as row from api_key k');
    expect(stored.rowCount).toBeGreaterThan(0);
    const secret = api.issuer.key.split('_')[3] ?? '';
    expect(stored.rows.some(({ row }) => row.includes(secret))).toBe(false);
  });
});
