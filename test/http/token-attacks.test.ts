import { createHmac, randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { signAccessToken } from '../../src/crypto/access-token.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { testKeyBytes } from '../support/app-parts.ts';
import { KEYS, testApi, textOf } from './api.ts';
import { mint, takeIn } from './documents.ts';
import { FOR_PEOPLE, newPerson, type Person } from './people.ts';

const api = testApi(FOR_PEOPLE);
const INVALID = { status: 401, body: { code: 'share_token_invalid' } };
const redeem = (text: string) => api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: text });
const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');
const decode = (part: string | undefined) => JSON.parse(Buffer.from(part ?? '', 'base64url').toString()) as JsonObject;

let person: Person;
let sessionId: string;
let token: string;
beforeAll(async () => {
  person = await newPerson(api);
  sessionId = await takeIn(api, api.issuer);
  token = await mint(api, api.issuer, sessionId, api.partner);
});

/** A token made by hand. */
function signed(
  header: object,
  claims: object,
  key: Uint8Array = KEYS.get(KEYS.activeKid) ?? new Uint8Array(),
): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
}

describe('what is no share token is none, whatever else it opens', () => {
  it.each<[string, () => string | Promise<string>]>([
    ['a person’s access token', () => person.accessToken],
    ['a person’s refresh token', () => person.refreshToken],
    [
      'an access token that says it is of a share-token key',
      async () => {
        const access = await signAccessToken(KEYS.get(KEYS.activeKid) ?? new Uint8Array(), {
          accountId: randomUUID(),
          loginId: randomUUID(),
          issuedAt: 1_700_000_000,
        });
        const [head, body] = access.split('.');
        return signed({ ...decode(head), kid: KEYS.activeKid }, decode(body));
      },
    ],
    [
      'share claims under the key of access tokens',
      () => signed(decode(token.split('.')[0]), decode(token.split('.')[1]), testKeyBytes(9)),
    ],
    [
      'share claims under the key of links',
      () => signed(decode(token.split('.')[0]), decode(token.split('.')[1]), testKeyBytes(8)),
    ],
    ['an API key', () => api.issuer.key],
    [
      'a link to a file',
      () => `/v1/media/${sessionId}/${randomUUID()}/?application=${api.partner.id}&expires=9999999999&signature=x`,
    ],
    ['a webhook secret', () => `whsec_${testKeyBytes(3).toString('base64')}`],
    ['a token id', () => String(decode(token.split('.')[1])['jti'])],
    ['a session id', () => sessionId],
  ])('%s', async (_what, text) => {
    expect(await redeem(await text())).toMatchObject(INVALID);
  });

  it('the token of a hosted flow', async () => {
    const created = await api.call(api.partner, 'POST', '/v3/session/', { workflow_id: api.partner.workflows.user });
    expect(created.status).toBe(201);
    expect(await redeem(textOf(created, 'session_token'))).toMatchObject(INVALID);
  });

  it('and a share token opens nothing else', async () => {
    for (const headers of [{ authorization: `Bearer ${token}` }, { 'x-api-key': token }] as Record<string, string>[]) {
      expect((await api.call(null, 'GET', '/auth/v2/organizations/me/', undefined, headers)).status).toBe(401);
      expect((await api.call(null, 'GET', '/v1/onboardings/', undefined, headers)).status).toBe(401);
    }
  });
});

describe('a well-signed token', () => {
  const claims = () => decode(token.split('.')[1]);
  const header = () => decode(token.split('.')[0]);

  it('of a token that was never minted is none', async () => {
    expect(await redeem(signed(header(), { ...claims(), jti: randomUUID() }))).toMatchObject(INVALID);
  });

  it('by another key than the one that signed this token is none', async () => {
    const other = KEYS.kids.find((kid) => kid !== KEYS.activeKid) ?? '';
    expect(await redeem(signed({ ...header(), kid: other }, claims(), KEYS.get(other)))).toMatchObject(INVALID);
  });

  it('opens for its partner alone, whomever its claims name', async () => {
    const forThird = signed(header(), { ...claims(), for_application_id: api.third.id });
    const call = (as: typeof api.third) =>
      api.call(as, 'POST', '/v3/session/import-shared/', { share_token: forThird });
    expect(await call(api.third)).toMatchObject({
      status: 403,
      body: { code: 'share_token_not_for_this_application' },
    });
  });

  it('lives as long as its row says, whatever its claims do', async () => {
    const short = await mint(api, api.issuer, await takeIn(api, api.issuer), api.partner, 60);
    const [head, body] = short.split('.');
    const { iat } = decode(body);
    const longer = signed(decode(head), { ...decode(body), exp: Number(iat) + 86_400 });
    await api.database.pool.query(
      `update share_token set expires_at = now() - interval '1 second' where token_id = $1`,
      [decode(body)['jti']],
    );
    expect(await redeem(longer)).toMatchObject({ status: 401, body: { code: 'share_token_expired' } });
  });
});

it('after all that, the token itself still imports once', async () => {
  expect((await redeem(token)).status).toBe(201);
  expect(await redeem(token)).toMatchObject({ status: 403, body: { code: 'already_imported' } });
});
