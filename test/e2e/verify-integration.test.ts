import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();

interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

async function call(method: string, path: string, headers: Record<string, string>, body?: unknown): Promise<Answer> {
  const answer = await fetch(new URL(path, stack.apiUrl), {
    method,
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as JsonObject) };
}

/** The text at a path of an answer. */
function at({ body }: Answer, ...path: string[]): string {
  const value = path.reduce<JsonValue | undefined>(
    (inner, member) => (inner as JsonObject | undefined)?.[member],
    body,
  );
  if (typeof value !== 'string')
    throw new Error(`no text at ${path.join('.')} of ${JSON.stringify(body).slice(0, 500)}`);
  return value;
}

const key = (apiKey: string) => ({ 'x-api-key': apiKey });

/** Registers somebody and returns the first sandbox application, over HTTP alone. */
async function signUp(): Promise<{
  applicationId: string;
  apiKey: string;
  bearer: Record<string, string>;
  organization: string;
}> {
  const email = `integrator-${randomBytes(4).toString('hex')}@example.com`;
  const registered = await call('POST', '/auth/v2/programmatic/register/', {}, { email, password: 'Correct-horse-9' });
  expect(registered.status).toBe(201);
  const sent = await call('GET', `/auth/v2/development/one-time-code/?email=${email}`, {});
  const verified = await call('POST', '/auth/v2/programmatic/verify-email/', {}, { email, code: at(sent, 'code') });
  expect(verified.status).toBe(200);
  return {
    applicationId: at(verified, 'application', 'uuid'),
    apiKey: at(verified, 'application', 'api_key'),
    bearer: { authorization: `Bearer ${at(verified, 'access_token')}` },
    organization: at(verified, 'organization', 'uuid'),
  };
}

async function workflowOf(apiKey: string, type: 'kyc' | 'kyb'): Promise<string> {
  const { body } = await call('GET', '/v3/workflows/', key(apiKey));
  const found = (body['results'] as JsonObject[]).find((row) => row['workflow_type'] === type);
  return at({ status: 200, body: found ?? {} }, 'workflow_id');
}

async function finishedSession(apiKey: string, type: 'kyc' | 'kyb', scenario: string): Promise<string> {
  const created = await call('POST', '/v3/session/', key(apiKey), {
    workflow_id: await workflowOf(apiKey, type),
    vendor_data: `customer-${randomUUID()}`,
    sandbox_scenario: scenario,
  });
  expect(created.status).toBe(201);
  return at(created, 'session_id');
}

async function mint(apiKey: string, sessionId: string, partnerId: string): Promise<Answer> {
  return call('POST', `/v3/session/${sessionId}/share/`, key(apiKey), {
    for_application_id: partnerId,
    ttl_in_seconds: 3600,
  });
}

/** The seed's "Verify your integration": two sandbox applications of two organizations, from sign-up to import. */
describe('verifying an integration', () => {
  it('mints as Service X and imports as Service Y, for a person and a company', async () => {
    const [x, y] = [await signUp(), await signUp()];
    for (const [type, status, arrays] of [
      [
        'kyc',
        'Approved',
        [
          'id_verifications',
          'liveness_checks',
          'face_matches',
          'aml_screenings',
          'database_validations',
          'proof_of_address',
          'phone_verifications',
          'email_verifications',
        ],
      ],
      [
        'kyb',
        'APPROVED',
        ['registry_checks', 'key_people_checks', 'document_verifications', 'aml_screenings', 'questionnaires'],
      ],
    ] as const) {
      const source = await finishedSession(x.apiKey, type, 'approved');
      const minted = await mint(x.apiKey, source, y.applicationId);
      expect(minted).toMatchObject({
        status: 201,
        body: { for_application_id: y.applicationId, session_kind: type === 'kyc' ? 'user' : 'business' },
      });
      const imported = await call('POST', '/v3/session/import-shared/', key(y.apiKey), {
        share_token: minted.body['share_token'],
        workflow_id: await workflowOf(y.apiKey, type),
        vendor_data: `partner-${type}-42`,
        trust_review: true,
      });
      expect(imported).toMatchObject({
        status: 201,
        body: {
          status,
          shared_from_session: source,
          vendor_data: `partner-${type}-42`,
          session_number: expect.any(Number),
        },
      });
      for (const array of arrays) expect(imported.body[array], array).toBeInstanceOf(Array);
      const read = await call('GET', `/v3/session/${at(imported, 'session_id')}/decision/`, key(y.apiKey));
      expect(read.body).toMatchObject({ session_id: imported.body['session_id'], shared_from_session: source });
      const entities = type === 'kyc' ? 'users' : 'businesses';
      const entity = await call('GET', `/v3/${entities}/partner-${type}-42/`, key(y.apiKey));
      expect(entity).toMatchObject({ status: 200, body: { session_count: 1, approved_count: 1 } });
    }
  });

  it('answers as the table of errors says', async () => {
    const [x, y, z] = [await signUp(), await signUp(), await signUp()];
    const source = await finishedSession(x.apiKey, 'kyc', 'in_review');
    const share_token = at(await mint(x.apiKey, source, y.applicationId), 'share_token');
    const redeem = async (apiKey: string, more: Record<string, unknown> = {}) => {
      const answer = await call('POST', '/v3/session/import-shared/', key(apiKey), { share_token, ...more });
      return [answer.status, answer.body['code'] ?? answer.body['status']];
    };
    expect(await redeem(y.apiKey, { share_token: `${share_token}x` })).toEqual([401, 'share_token_invalid']);
    expect(await redeem(z.apiKey)).toEqual([403, 'share_token_not_for_this_application']);
    expect(await redeem(y.apiKey, { workflow_id: 'wf_partner_kyc' })).toEqual([404, 'workflow_not_found']);
    expect(await redeem(y.apiKey)).toEqual([201, 'In Review']);
    expect(await redeem(y.apiKey)).toEqual([403, 'already_imported']);

    const gone = await finishedSession(x.apiKey, 'kyc', 'approved');
    const late = await mint(x.apiKey, gone, y.applicationId);
    expect((await call('DELETE', `/v3/session/${gone}/delete/`, key(x.apiKey))).status).toBe(200);
    expect(await redeem(y.apiKey, { share_token: late.body['share_token'] })).toEqual([404, 'source_session_gone']);
    expect((await mint(x.apiKey, gone, y.applicationId)).status).toBe(404);
  });

  it('goes live by the toggle of each application, which old sessions do not follow', async () => {
    const [x, y] = [await signUp(), await signUp()];
    const source = await finishedSession(x.apiKey, 'kyc', 'approved');
    for (const { organization, applicationId, bearer } of [x, y]) {
      const path = `/auth/v2/organizations/me/${organization}/applications/${applicationId}/`;
      const flipped = await call('PATCH', path, bearer, { environment: 'live' });
      expect(flipped).toMatchObject({ status: 200, body: { environment: 'live' } });
    }
    const minted = await mint(x.apiKey, source, y.applicationId);
    expect(minted).toMatchObject({
      status: 400,
      body: { code: 'invalid_request', for_application_id: [expect.any(String)] },
    });
  });
});
