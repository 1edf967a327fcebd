import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { textOf, type Answer, type TestApi } from './api.ts';

/** What an app that serves people is built with: cheap passwords, and network addresses that tests choose. */
export const FOR_PEOPLE = { passwordCost: { N: 16, r: 1, p: 1 }, trustProxy: true } as const;

export const PASSWORD = 'Correct-Horse-7';

/** Somebody who has proven an address. */
export interface Person {
  readonly email: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly organizationId: string;
  readonly applicationId: string;
  readonly apiKey: string;
  /** Calls with the access token. */
  call(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, body?: unknown, headers?: Headers): Promise<Answer>;
  /** Path of one of the organization's applications; its first one by default. */
  application(applicationId?: string): string;
}

type Headers = Record<string, string>;

/** A network address that nobody else in the tests has. */
export function newAddress(): string {
  return `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;
}

/** An e-mail address that nobody else in the tests has. */
export function newEmail(): string {
  return `person-${randomUUID()}@aurora.example`;
}

/** Calls one of the routes of people without an access token, each time from a network address of its own. */
export function callAs(api: TestApi, route: string, body: unknown, headers: Headers = {}): Promise<Answer> {
  return api.call(null, 'POST', `/auth/v2/programmatic/${route}/`, body, {
    'x-forwarded-for': newAddress(),
    ...headers,
  });
}

/** The code that an address was sent last, by the development route. */
export async function codeOf(api: TestApi, email: string): Promise<string> {
  const answer = await api.call(
    null,
    'GET',
    `/auth/v2/development/one-time-code/?email=${encodeURIComponent(email)}`,
    undefined,
    { 'x-forwarded-for': newAddress() },
  );
  return textOf(answer, 'code');
}

/** A code that is not this one. */
export function otherCode(code: string): string {
  return code === 'AAAAAA' ? 'BBBBBB' : 'AAAAAA';
}

/** Registers somebody and proves the address. */
export async function newPerson(api: TestApi): Promise<Person> {
  const email = newEmail();
  const registered = await callAs(api, 'register', { email, password: PASSWORD });
  if (registered.status !== 201) throw new Error(JSON.stringify(registered.body));
  const verified = await callAs(api, 'verify-email', { email, code: await codeOf(api, email) });
  const { organization, application } = verified.body as Record<string, Record<string, string>>;
  const accessToken = textOf(verified, 'access_token');
  const organizationId = organization?.['uuid'] ?? '';
  const applicationId = application?.['uuid'] ?? '';
  return {
    email,
    accessToken,
    refreshToken: textOf(verified, 'refresh_token'),
    organizationId,
    applicationId,
    apiKey: application?.['api_key'] ?? '',
    call: (method, url, body, headers = {}) =>
      api.call(null, method, url, body, { authorization: `Bearer ${accessToken}`, ...headers }),
    application: (id = applicationId) => `/auth/v2/organizations/me/${organizationId}/applications/${id}/`,
  };
}

/** The header of a request that is sent twice. */
export function newIdempotencyKey() {
  return { 'idempotency-key': randomBytes(8).toString('hex') };
}
