import { createHmac, randomUUID } from 'node:crypto';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';

/** The secret of a webhook destination at Didit. */
export const DIDIT_SECRET = 'kP0cD1H8yqv4mJ2sXw7uT5nB9zRfLgE3aVoQ6iKxYhM';

/** Didit's `status.updated` about a person, sent now. */
export function personEvent(externalId: string, more: JsonObject = {}): JsonObject {
  const now = Math.floor(Date.now() / 1000);
  return {
    event_id: randomUUID(),
    webhook_type: 'status.updated',
    timestamp: now,
    created_at: now,
    application_id: randomUUID(),
    environment: 'sandbox',
    session_id: externalId,
    status: 'Approved',
    workflow_id: randomUUID(),
    workflow_version: 3,
    vendor_data: `didit-${externalId}`,
    metadata: { source: 'didit' },
    decision: personDecision(externalId),
    ...more,
  };
}

/** The decision of a person whose first name a test can tell. */
export function personDecision(externalId: string, firstName = 'Ana', more: JsonObject = {}): JsonObject {
  return {
    session_id: externalId,
    session_kind: 'user',
    session_number: 43_762,
    session_url: 'https://verify.didit.me/session/abc',
    status: 'Approved',
    environment: 'sandbox',
    features: ['ID_VERIFICATION', 'LIVENESS'],
    metadata: { source: 'didit' },
    id_verifications: [
      {
        node_id: 'feature_ocr_1',
        status: 'Approved',
        document_type: 'Passport',
        issuing_state: 'ESP',
        first_name: firstName,
        last_name: 'Prueba',
        expiration_date: '2031-01-31',
      },
    ],
    nfc_verifications: null,
    liveness_checks: [{ node_id: 'feature_liveness_1', status: 'Approved', score: 89.92 }],
    reviews: [],
    created_at: '2026-05-17T08:42:11.123456Z',
    expires_at: '2026-05-24T08:42:11Z',
    ...more,
  };
}

/** The bytes that Didit sends of a body: keys sorted, compact, ASCII-escaped. */
export function diditBytes(body: JsonValue): string {
  return sorted(body).replaceAll(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Headers of a signed webhook of these bytes. */
export function diditHeaders(raw: string, secret = DIDIT_SECRET): Record<string, string> {
  const { timestamp } = JSON.parse(raw) as { timestamp?: unknown };
  return {
    'content-type': 'application/json',
    'user-agent': 'DiditWebhook/2.0 +https://didit.me',
    'x-timestamp': String(timestamp),
    'x-signature': createHmac('sha256', secret).update(raw).digest('hex'),
  };
}

function sorted(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.keys(value).toSorted();
  return `{${members.map((key) => `${JSON.stringify(key)}:${sorted(value[key] ?? null)}`).join(',')}}`;
}
