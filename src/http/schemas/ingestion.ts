import { z } from 'zod';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, bodyErrors, errorBody, idErrors } from './errors.ts';
import { ours, time } from './fields.ts';

/** Body of `PUT /v1/ingest/didit/`. Visible ASCII: the text itself is the key, so an invisible character would be a riddle. */
export const secretBody = ours({
  secret_shared_key: z
    .string({
      error: ({ input }) => (input === undefined ? 'This field is required.' : 'Not a valid string.'),
    })
    .regex(/^[\x21-\x7e]*$/, 'Only visible ASCII characters without spaces: copy the secret as Didit shows it.')
    .min(16, 'Ensure this field has at least 16 characters.')
    .max(255, 'Ensure this field has no more than 255 characters.'),
});

/** How ingestion is set up; the secret itself is never shown. */
export const setupReply = z.strictObject({
  configured: z.boolean(),
  url: z.string(),
  updated_at: time.nullable(),
  previous_secret_until: time.nullable(),
});

/** Didit's webhook of version 3; `readSourceEvent` reads it. */
export const sourceEventBody = z.looseObject({
  webhook_type: z.string(),
  timestamp: z.int(),
});

export const ingestedReply = z.strictObject({
  session_id: z.string().nullable(),
  result: z.enum(['created', 'updated', 'stale', 'ignored']),
  ignored_fields: z.array(z.string()),
});

const URL_EXAMPLE = 'https://api.example.com/v1/ingest/didit/0198c0de-0000-7000-8000-000000000001/';
const configured = {
  configured: true,
  url: URL_EXAMPLE,
  updated_at: '2026-05-17T08:42:11.000000Z',
  previous_secret_until: null,
};

export const ingestionContracts = {
  configure: {
    operationId: 'setIngestSecret',
    tag: 'Ingestion',
    summary: 'Set the secret that Didit signs its webhooks to you with',
    description:
      'Use the `secret_shared_key` of the webhook destination that you made at Didit, as it is shown there. Another secret before it verifies for 24 hours more; delete first to end it at once.',
    body: secretBody,
    replies: { 200: setupReply, ...bodyErrors },
    examples: {
      body: { secret_shared_key: 'kP0cD1H8yqv4mJ2sXw7uT5nB9zRfLgE3aVoQ6iKxYhM' },
      replies: { 200: configured },
    },
  },
  read: {
    operationId: 'readIngestSetup',
    tag: 'Ingestion',
    summary: 'Read whether a secret is set, and the URL to give Didit',
    replies: { 200: setupReply, ...anyRouteErrors },
    examples: { replies: { 200: configured } },
  },
  remove: {
    operationId: 'deleteIngestSecret',
    tag: 'Ingestion',
    summary: "Delete the secret: Didit's webhooks are refused from now on",
    replies: { 204: null, ...idErrors },
    refusals: ['not_found'],
  },
  receive: {
    operationId: 'ingestDiditWebhook',
    tag: 'Ingestion',
    summary: "Receive Didit's status.updated and data.updated",
    description:
      'Needs no API key: the webhook proves itself by `X-Signature-V2` or `X-Signature` and by its signed `timestamp`, at most 300 seconds from now. `X-Signature-Simple` is not accepted: it does not cover `decision`. The newest change of a session wins, in whatever order they come.',
    headers: {
      'X-Signature-V2': z
        .string()
        .optional()
        .meta({ description: 'HMAC-SHA256 of the canonical body, in hexadecimal digits.' }),
      'X-Signature': z
        .string()
        .optional()
        .meta({ description: 'HMAC-SHA256 of the bytes of the body, in hexadecimal digits.' }),
    },
    body: sourceEventBody,
    replies: { 200: ingestedReply, ...bodyErrors, 409: errorBody },
    refusals: [
      'not_found',
      'ingest_signature_invalid',
      'ingest_timestamp_rejected',
      'external_id_conflict',
      'application_deleted',
    ],
    examples: {
      body: {
        event_id: '0198c0de-0000-7000-8000-0000000000e1',
        webhook_type: 'status.updated',
        timestamp: 1774970000,
        created_at: 1774970000,
        application_id: '11111111-1111-4111-8111-111111111111',
        environment: 'sandbox',
        session_id: '22222222-2222-4222-8222-222222222222',
        status: 'Approved',
        vendor_data: 'customer-42',
        metadata: null,
        decision: {
          session_id: '22222222-2222-4222-8222-222222222222',
          session_kind: 'user',
          status: 'Approved',
          id_verifications: [{ status: 'Approved', document_type: 'Passport', first_name: 'Ana', last_name: 'Prueba' }],
        },
      },
      replies: {
        200: { session_id: '0198c0de-0000-7000-8000-000000000002', result: 'created', ignored_fields: [] },
      },
    },
  },
} satisfies Record<string, RouteContract>;
