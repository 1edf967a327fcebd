import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { RESOURCES } from '../../src/accounts/privileges.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { testApi, textOf } from './api.ts';
import { FOR_PEOPLE, newIdempotencyKey, newPerson, type Person } from './people.ts';

const api = testApi(FOR_PEOPLE);
afterEach(() => resetClock(api.database.pool));

const keysOf = (person: Person) => `${person.application()}api-keys/`;
const create = (person: Person, body: object, headers = {}) =>
  person.call('POST', keysOf(person), { name: 'Back office', privileges: { onboardings: 'read' }, ...body }, headers);
const use = (key: string, from = '203.0.113.7') =>
  api.call(key, 'GET', '/v1/onboardings/', undefined, { 'x-forwarded-for': from });
const NOT_FOUND = { status: 404, body: { code: 'not_found' } };
const DENIED = { status: 403, body: { code: 'permission_denied' } };

describe('an API key', () => {
  it('is shown once, and listed by its last four characters', async () => {
    const person = await newPerson(api);
    const created = await create(person, { privileges: { sessions: 'write', onboardings: 'read', audit: 'none' } });
    expect(created).toMatchObject({
      status: 201,
      body: {
        name: 'Back office',
        privileges: {
          ...Object.fromEntries(RESOURCES.map((name) => [name, 'none'])),
          sessions: 'write',
          onboardings: 'read',
        },
        allowed_addresses: [],
        expires_at: null,
        last_used_at: null,
        revoked_at: null,
      },
    });
    const { api_key: key, ...shown } = created.body;
    expect(String(key).endsWith(textOf(created, 'last_four'))).toBe(true);
    expect(String(key)).toMatch(new RegExp(`^hnd_sandbox_${textOf(created, 'key_id')}_`));
    expect((await person.call('GET', `${keysOf(person)}${textOf(created, 'key_id')}/`)).body).toEqual(shown);
    const list = await person.call('GET', keysOf(person));
    expect(list.body).toMatchObject({ count: 2, next: null });
    const [newest, first] = list.body['results'] as object[];
    expect(newest).toEqual(shown);
    expect(first).toMatchObject({
      name: 'Default',
      privileges: Object.fromEntries(RESOURCES.map((name) => [name, 'write'])),
    });
    expect((await person.call('GET', `${keysOf(person)}?limit=1&offset=1`)).body['results']).toEqual([first]);
  });

  it('created twice under one Idempotency-Key is one, and shown once', async () => {
    const person = await newPerson(api);
    const headers = newIdempotencyKey();
    const first = await create(person, {}, headers);
    const rows = await api.rows();
    const second = await create(person, {}, headers);
    expect(second).toMatchObject({ status: 201, headers: { 'idempotent-replayed': 'true' } });
    expect(second.body).toEqual({ ...first.body, api_key: null, secret_replayed: true });
    expect(await api.rows()).toEqual(rows);
  });

  it.each([
    ['name', { name: '' }],
    ['name', { name: undefined }],
    ['privileges', { privileges: undefined }],
    ['privileges', { privileges: 'all' }],
    ['privileges.sessions', { privileges: { sessions: 'admin' } }],
    ['privileges.money', { privileges: { money: 'read' } }],
    ['expires_at', { expires_at: '2020-01-01T00:00:00Z' }],
    ['expires_at', { expires_at: '2030-01-01' }],
    ['expires_at', { expires_at: '2030-01-01T00:00:00' }],
    ['expires_at', { expires_at: 7 }],
    ['expires_at', { expires_at: '0000-01-01T00:00:00Z' }],
    ['expires_at', { expires_at: '9999-12-31T23:59:59-23:59' }],
    ['allowed_addresses', { allowed_addresses: '10.0.0.0/8' }],
    ['allowed_addresses.1', { allowed_addresses: ['10.0.0.0/8', '10.0.0.1/8'] }],
    ['allowed_addresses.0', { allowed_addresses: ['example.com'] }],
    ['allowed_addresses', { allowed_addresses: Array.from({ length: 101 }, () => '10.0.0.1') }],
  ])('is not made with a wrong %s: %j', async (field, body) => {
    const person = await newPerson(api);
    const answer = await create(person, body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(Object.keys(answer.body)).toContain(field);
  });

  it.each(RESOURCES.filter((name) => ['sessions', 'onboardings', 'connections', 'webhooks'].includes(name)))(
    'opens %s as far as it says',
    async (resource) => {
      const person = await newPerson(api);
      const unknown = '/0198c0de-0000-7000-8000-000000000000';
      const [read, write] = (
        {
          sessions: [`/v3/session${unknown}/decision/`, '/v1/sessions/'],
          onboardings: ['/v1/onboardings/', '/v1/onboardings/'],
          connections: ['/v1/connections/', '/v1/connections/'],
          webhooks: ['/v3/webhook/destinations/', '/v3/webhook/destinations/'],
        } as Record<string, [string, string]>
      )[resource] as [string, string];
      for (const granted of ['none', 'read', 'write'] as const) {
        const others = Object.fromEntries(RESOURCES.map((name) => [name, name === resource ? granted : 'write']));
        const key = textOf(await create(person, { privileges: others }), 'api_key');
        const reads = await api.call(key, 'GET', read);
        const writes = await api.call(key, 'POST', write, {});
        expect([reads.status, writes.status], granted).toEqual([
          granted === 'none' ? 403 : resource === 'sessions' ? 404 : 200,
          granted === 'write' ? 400 : 403,
        ]);
      }
    },
  );

  it('may be used from the addresses that it names', async () => {
    const person = await newPerson(api);
    const addresses = ['203.0.113.7', '10.0.0.0/8', '2001:DB8::/32', '::1', '::ffff:192.0.2.0/120', '10.0.0.0/8'];
    const created = await create(person, { allowed_addresses: addresses });
    expect(created.body['allowed_addresses']).toEqual([
      '203.0.113.7',
      '10.0.0.0/8',
      '2001:db8::/32',
      '::1',
      '192.0.2.0/24',
    ]);
    const key = textOf(created, 'api_key');
    for (const from of ['203.0.113.7', '10.255.0.1', '2001:db8:7::1', '::1', '::ffff:203.0.113.7', '192.0.2.200']) {
      expect((await use(key, from)).status, from).toBe(200);
    }
    for (const from of ['203.0.113.8', '11.0.0.1', '2001:db9::1', '::ffff:203.0.113.8', '127.0.0.1', 'unknown']) {
      expect(await use(key, from), from).toMatchObject(DENIED);
    }
    // A wrong key is told nothing of where it may be used.
    expect((await use(`${key}x`, '203.0.113.8')).status).toBe(401);
  });

  it('of a deleted application can be seen and revoked, not made or changed', async () => {
    const person = await newPerson(api);
    const made = await create(person, {});
    const [key, path] = [textOf(made, 'api_key'), `${keysOf(person)}${textOf(made, 'key_id')}/`];
    await person.call('DELETE', person.application());
    await sleep(1_000);
    expect((await use(key)).status).toBe(200);
    const deleted = { status: 403, body: { code: 'application_deleted' } };
    expect(await create(person, {})).toMatchObject(deleted);
    expect(await person.call('PATCH', path, { name: 'Other' })).toMatchObject(deleted);
    expect((await person.call('GET', keysOf(person))).body).toMatchObject({ count: 2 });
    expect(await person.call('GET', path)).toMatchObject({ status: 200, body: { name: 'Back office' } });
    const stranger = await newPerson(api);
    const theirs = path.replace(person.organizationId, stranger.organizationId);
    expect(await stranger.call('DELETE', theirs)).toMatchObject(NOT_FOUND);
    expect((await person.call('DELETE', path)).status).toBe(204);
    await sleep(1_000);
    expect((await use(key)).status).toBe(401);
  });

  it('ends when it expires', async () => {
    const person = await newPerson(api);
    const expires = new Date(Date.now() + 3_600_000).toISOString();
    const created = await create(person, { expires_at: expires });
    expect(created.body['expires_at']).toBe(expires.replace('Z', '000Z'));
    const key = textOf(created, 'api_key');
    expect((await use(key)).status).toBe(200);
    await shiftClock(api.database.pool, '1 hour');
    await sleep(1_000);
    expect(await use(key)).toMatchObject({ status: 401, body: { code: 'authentication_failed' } });
  });

  it('is changed, and counts as changed within a second', async () => {
    const person = await newPerson(api);
    const created = await create(person, {
      expires_at: '2099-01-01T01:00:00+01:00',
      allowed_addresses: ['203.0.113.7'],
    });
    const path = `${keysOf(person)}${textOf(created, 'key_id')}/`;
    const { api_key: key, ...shown } = created.body;
    expect(shown['expires_at']).toBe('2099-01-01T00:00:00.000000Z');
    expect((await use(String(key))).status).toBe(200);
    // Its use is noted once it is answered.
    await expect
      .poll(async () => (await person.call('PATCH', path, {})).body)
      .toMatchObject({ ...shown, last_used_at: expect.anything() as string });
    const change = { name: 'Front office', expires_at: null, allowed_addresses: [] };
    expect((await person.call('PATCH', path, change)).body).toMatchObject(change);
    const privileges = { sessions: 'read' };
    expect((await person.call('PATCH', path, { privileges })).body['privileges']).toMatchObject({
      sessions: 'read',
      onboardings: 'none',
    });
    await sleep(1_000);
    expect(await use(String(key))).toMatchObject(DENIED);
    // A zone that Postgres does not read.
    expect((await person.call('PATCH', path, { expires_at: '2099-01-01T16:00:00+16:00' })).body).toMatchObject({
      expires_at: '2099-01-01T00:00:00.000000Z',
    });
    expect((await person.call('PATCH', path, { expires_at: '2020-01-01T00:00:00Z' })).body).toHaveProperty(
      'expires_at',
    );
  });

  it('is revoked for good within a second, and stays listed', async () => {
    const person = await newPerson(api);
    const created = await create(person, {});
    const path = `${keysOf(person)}${textOf(created, 'key_id')}/`;
    const key = textOf(created, 'api_key');
    expect((await use(key)).status).toBe(200);
    expect((await person.call('DELETE', path)).status).toBe(204);
    await sleep(1_000);
    expect(await use(key)).toMatchObject({ status: 401, body: { code: 'authentication_failed' } });
    expect((await person.call('GET', path)).body['revoked_at']).toMatch(/^\d{4}-/);
    expect((await person.call('GET', keysOf(person))).body).toMatchObject({ count: 2 });
    expect(await person.call('DELETE', path)).toMatchObject(NOT_FOUND);
    expect(await person.call('PATCH', path, { name: 'Again' })).toMatchObject(NOT_FOUND);
  });

  it('of another application of the same organization is not there', async () => {
    const person = await newPerson(api);
    const second = await person.call('POST', person.application().replace(/[^/]+\/$/, ''), {});
    const path = `${person.application(textOf(second, 'uuid'))}api-keys/${person.apiKey.split('_')[2] ?? ''}/`;
    for (const method of ['GET', 'PATCH', 'DELETE'] as const) {
      expect(await person.call(method, path, method === 'PATCH' ? {} : undefined)).toMatchObject(NOT_FOUND);
    }
    expect(await person.call('GET', `${keysOf(person)}no-key/`)).toMatchObject(NOT_FOUND);
  });

  it('shows when it was used last, to about a minute', async () => {
    const person = await newPerson(api);
    const created = await create(person, {});
    const path = `${keysOf(person)}${textOf(created, 'key_id')}/`;
    const lastUse = async () => (await person.call('GET', path)).body['last_used_at'];
    expect(await lastUse()).toBeNull();
    await use(textOf(created, 'api_key'));
    await expect.poll(lastUse).not.toBeNull();
    const first = await lastUse();
    await use(textOf(created, 'api_key'));
    expect(await lastUse()).toBe(first);
  });
});
