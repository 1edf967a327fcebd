import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { newApiKey } from '../../src/accounts/api-keys.ts';
import { ALL_PRIVILEGES, type Privileges } from '../../src/accounts/privileges.ts';
import type { Privilege } from '../../src/http/auth.ts';
import type { DocumentedRoute } from '../../src/http/openapi/routes.ts';
import { productionRoutes } from '../support/openapi-text.ts';
import { testApi, type Answer, type Brand } from './api.ts';
import { holdingsOf, holdingsOfPerson, pathWith, placesIn, type Holdings } from './holdings.ts';
import { FOR_PEOPLE, newAddress, newPerson, type Person } from './people.ts';

const routes = await productionRoutes();
const named = (some: readonly DocumentedRoute[]) =>
  some.map((route) => [`${route.method} ${route.url}`, route] as const);
const keyed = routes.filter(({ needs }) => typeof needs === 'object');
const personal = routes.filter(({ needs }) => needs === 'account');
const takesBody = ({ method }: DocumentedRoute) => ['POST', 'PUT', 'PATCH'].includes(method);
const takesJson = (route: DocumentedRoute) => takesBody(route) && route.contract.bodyType === undefined;

const api = testApi(FOR_PEOPLE);
let owned: Holdings;
let foreign: Holdings;
let person: Person;
/** A brand that examples may change. */
let spare: Brand;
const keys = new Map<string, string>();
beforeAll(async () => {
  const [other, [me, them]] = [await api.newBrand(), [await newPerson(api), await newPerson(api)]];
  person = me;
  spare = await api.newBrand();
  owned = { ...(await holdingsOf(api, spare, other)), ...(await holdingsOfPerson(me)) };
  foreign = { ...(await holdingsOf(api, api.third, other)), ...(await holdingsOfPerson(them)) };
});

interface Call {
  readonly as?: string | null;
  readonly ids?: Holdings;
  readonly instead?: Holdings;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** What a route asks for besides its path and a JSON body. */
const SPECIAL: Readonly<Record<string, { readonly query: string; readonly body?: Buffer }>> = {
  'POST /v1/sessions/:session_id/media/': {
    query: '?field=id_verifications.0.front_image',
    body: Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
  },
  'GET /v1/webhook/destinations/:uuid/missed/': { query: `?since=${new Date().toISOString()}` },
};

/** Sends a request to a route: its example, by default, with the spare brand's key or the person's token. */
async function send(route: DocumentedRoute, call: Call = {}): Promise<Answer> {
  const { as, ids = owned, instead = {}, body, headers = {} } = call;
  const { needs, method, url, contract } = route;
  const special = SPECIAL[`${method} ${url}`];
  const own = takesJson(route) ? exampleOf(route) : special?.body;
  const typed = body === undefined && takesBody(route) && contract.bodyType !== undefined;
  const key = as === undefined && typeof needs === 'object' ? spare.key : as;
  return api.call(key ?? null, method, pathWith(url, ids, instead) + (special?.query ?? ''), body ?? own, {
    'x-forwarded-for': newAddress(),
    ...(typed && { 'content-type': contract.bodyType }),
    ...(needs === 'account' && as === undefined && { authorization: `Bearer ${await tokenFor(route)}` }),
    ...headers,
  });
}

/** Whoever logs out has no token any more. */
async function tokenFor({ url }: DocumentedRoute): Promise<string> {
  return (url.endsWith('/logout/') ? await newPerson(api) : person).accessToken;
}

/** The example of a route's body, about what the spare brand really has. */
function exampleOf({ contract }: DocumentedRoute): unknown {
  return real(contract.examples?.body);
}

function real(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(real);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      typeof member === 'string' ? (realIds()[name] ?? member) : real(member),
    ]),
  );
}

const realIds = (): Readonly<Record<string, string>> => ({
  session_id: owned['/v3/session/:session_id'] ?? '',
  for_application_id: api.partner.id,
  partner_application_id: api.partner.id,
  workflow_id: spare.workflows.user,
  user: spare.workflows.user,
  business: spare.workflows.business,
  url: `https://${randomUUID()}.example/hooks`,
  vendor_data: `customer-${randomUUID()}`,
  new_status: 'Declined',
});

/** The privileges that a route needs. */
function needsOf({ needs }: DocumentedRoute): readonly Privilege[] {
  if (typeof needs === 'string') return [];
  return needs.also === undefined ? [needs] : [needs, needs.also];
}

const UNAUTHENTICATED = { status: 401, body: { code: 'authentication_failed' } };

describe('a key', () => {
  it.each(named(keyed))('is needed for %s', async (_name, route) => {
    expect(await send(route, { as: null })).toMatchObject(UNAUTHENTICATED);
    for (const wrong of ['', 'nonsense', newApiKey('sandbox').text, `${spare.key}x`]) {
      expect(await send(route, { as: wrong }), wrong).toMatchObject(UNAUTHENTICATED);
    }
  });

  it.each(named(keyed))('needs its privilege for %s, and no other', async (_name, route) => {
    const needs = needsOf(route);
    for (const { resource, access } of needs) {
      for (const granted of ['none', 'read', 'write'] as const) {
        const { [resource]: _taken, ...others } = ALL_PRIVILEGES;
        const privileges: Privileges = granted === 'none' ? others : { ...others, [resource]: granted };
        const answer = await send(route, { as: await keyWith(privileges), ids: foreign });
        const isEnough = granted === 'write' || granted === access;
        expect({ granted, denied: answer.body['code'] === 'permission_denied' }).toEqual({
          granted,
          denied: !isEnough,
        });
        if (!isEnough) expect(answer.status).toBe(403);
      }
    }
    const justEnough = Object.fromEntries(needs.map(({ resource, access }) => [resource, access]));
    const answer = await send(route, { as: await keyWith(justEnough), ids: foreign });
    expect(['permission_denied', 'authentication_failed']).not.toContain(answer.body['code']);
  });
});

/** A key of the spare brand, made once for each set of privileges. */
async function keyWith(privileges: Privileges): Promise<string> {
  const name = JSON.stringify(privileges);
  const known = keys.get(name) ?? (await api.newKey(spare, privileges));
  keys.set(name, known);
  return known;
}

it.each(named(personal))('an access token is needed for %s', async (_name, route) => {
  for (const headers of [{}, { authorization: 'Bearer nonsense' }, { authorization: person.accessToken }]) {
    expect(await send(route, { as: null, headers })).toMatchObject(UNAUTHENTICATED);
  }
  expect(await send(route, { as: null, headers: { 'x-api-key': person.apiKey } })).toMatchObject(UNAUTHENTICATED);
});

describe('an id in the path', () => {
  const withIds = [...keyed, ...personal].filter(({ url }) => url.includes(':'));

  it.each(named(withIds))('of another tenant is not found: %s', async (_name, route) => {
    for (const place of placesIn(route.url)) {
      const answer = await send(route, { instead: { [place]: foreign[place] ?? '' } });
      expect({ place, status: answer.status }).toEqual({ place, status: 404 });
      const made = JSON.stringify(answer.body);
      expect(made).not.toContain(api.third.id);
    }
  });

  it.each(named(withIds))('that is none is not found: %s', async (_name, route) => {
    for (const place of placesIn(route.url)) {
      for (const id of ['x', '0198C0DE-0000-7000-8000-000000000000', '%00', '0198c0de-0000-7000-8000-000000000000']) {
        const { status } = await send(route, { instead: { [place]: id } });
        expect({ place, id, status }).toEqual({ place, id, status: 404 });
      }
    }
  });
});

describe('a body', () => {
  const refusable = [...keyed, ...personal].filter(takesBody);

  it.each(named(refusable))('of another type or size is refused: %s', async (_name, route) => {
    const plain = { 'content-type': 'text/plain' };
    expect(await send(route, { body: 'x', headers: plain })).toMatchObject({
      status: 415,
      body: { code: 'unsupported_media_type' },
    });
    const type = route.contract.bodyType ?? 'application/json';
    // A form is read as it comes, and cut where its file becomes too large.
    if (type === 'multipart/form-data') return;
    const large = { 'content-type': type, 'content-length': String(route.bodyLimit + 1) };
    expect(await send(route, { body: '{}', headers: large })).toMatchObject({
      status: 413,
      body: { code: 'payload_too_large' },
    });
  });

  it.each(named(refusable.filter(takesJson)))('that is no JSON object is refused: %s', async (_name, route) => {
    const json = { 'content-type': 'application/json' };
    // Where there is nothing to say, it is only read.
    const others = route.contract.body === undefined ? [] : ['[]', '"x"'];
    for (const body of ['{', '{"a":1', '{"__proto__":1}', ...others]) {
      const answer = await send(route, { body, headers: json });
      expect({ body, status: answer.status, code: answer.body['code'] }).toEqual({
        body,
        status: 400,
        code: 'invalid_request',
      });
    }
  });

  /** Whose body is a document of somebody else's making. */
  const documents = new Set(['/v1/sessions/']);
  const strict = refusable.filter(
    (route) =>
      route.url.startsWith('/v1/') &&
      takesJson(route) &&
      route.contract.body !== undefined &&
      !documents.has(route.url),
  );
  it.each(named(strict))('with an unknown member is refused, which is named: %s', async (_name, route) => {
    const answer = await send(route, { body: { ...(exampleOf(route) as object), surprise: 1 } });
    expect(answer).toMatchObject({
      status: 400,
      body: { surprise: ['Unknown field: remove it.'], code: 'invalid_request' },
    });
  });
});

describe('an example', () => {
  const shown = routes.filter((route) => takesJson(route) && route.contract.examples?.body !== undefined);

  it.each(named(shown))('can be sent as it is: %s', async (_name, route) => {
    const answer = await send(route, { ids: { ...owned, '/v1/ingest/didit/:application_id': spare.id } });
    expect(answer.body['code'] === 'invalid_request' ? answer.body : null).toBeNull();
    expect(answer.status).toBeLessThan(500);
  });
});

it('a path that is none is not found, nor a method that it does not answer', async () => {
  for (const url of ['/v1/nothing/', '/v3/session/', '/v3', '/', '/v1/../v3/sessions/', '/%']) {
    expect((await api.call(spare, 'PUT', url)).status, url).toBe(404);
  }
});
