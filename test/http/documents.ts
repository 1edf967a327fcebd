import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../src/domain/json.ts';
import { FIXTURE_PLACE } from '../support/fixture-canaries.ts';
import { textOf, type Brand, type TestApi } from './api.ts';

/** A sample record, as `POST /v1/sessions/` takes it. */
export function sample(name: string): JsonObject {
  return JSON.parse(readFileSync(new URL(`../../samples/${name}.json`, import.meta.url), 'utf8')) as JsonObject;
}

/** A small finished user session. */
export function userDocument(more: JsonObject = {}): JsonObject {
  return {
    session_kind: 'user',
    status: 'Approved',
    vendor_data: 'crm-1',
    id_verifications: [
      { status: 'Approved', first_name: 'Ada', place_of_birth: FIXTURE_PLACE, expiration_date: '2031-01-31' },
    ],
    ...more,
  };
}

/** A small finished business session. */
export function businessDocument(more: JsonObject = {}): JsonObject {
  return {
    session_kind: 'business',
    status: 'APPROVED',
    vendor_data: 'biz-1',
    registry_checks: [{ status: 'Approved', company: { legal_name: 'Acme', location: FIXTURE_PLACE } }],
    ...more,
  };
}

/** Takes a document in and returns its session id. */
export async function takeIn(api: TestApi, brand: Brand, document: JsonObject = userDocument()): Promise<string> {
  const answer = await api.call(brand, 'POST', '/v1/sessions/', document);
  if (answer.status !== 201) throw new Error(`not taken in: ${JSON.stringify(answer.body)}`);
  return textOf(answer, 'session_id');
}

/** Mints a token and returns its text. */
export async function mint(api: TestApi, from: Brand, sessionId: string, to: Brand, ttl?: number): Promise<string> {
  const answer = await api.call(from, 'POST', `/v3/session/${sessionId}/share/`, {
    for_application_id: to.id,
    ...(ttl !== undefined && { ttl_in_seconds: ttl }),
  });
  return textOf(answer, 'share_token');
}
