import { ARRAY_NAMES } from '../../domain/decision-arrays.ts';
import { CODE, MAX_CHARACTERS, MAX_FEATURES } from '../../domain/decision-intake.ts';
import { z } from 'zod';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { bodyErrors, errorBody, idErrors, postErrors } from './errors.ts';
import { EXAMPLE_DECISION, EXAMPLE_IDS, EXAMPLE_IMPORT, EXAMPLE_TIME, EXAMPLE_TOKEN, examplePage } from './examples.ts';
import { deleteBody } from './face-retention.ts';
import { anyText, bool, text, time, ttlInSeconds, uuid, vendorData } from './fields.ts';
import { pageReply } from './pages.ts';

/** Body of `POST /v3/session/{id}/share/`. */
export const mintBody = z.object({ for_application_id: uuid, ttl_in_seconds: ttlInSeconds });

export const mintReply = z.object({
  share_token: z.string(),
  for_application_id: z.string(),
  session_kind: z.enum(['user', 'business']),
});

/** An id in any spelling; one that names nothing is not found, never malformed (contract row 12). */
export const workflowId = anyText.transform((id) => id.toLowerCase());

/** Body of `POST /v3/session/import-shared/`. */
export const importBody = z.object({
  share_token: text(1_000_000),
  workflow_id: workflowId.optional(),
  vendor_data: vendorData.optional(),
  trust_review: bool.optional(),
});

const decision = z.looseObject({
  session_id: z.string(),
  session_kind: z.enum(['user', 'business']),
  shared_from_session: z.string().nullable(),
  session_number: z.int(),
  session_url: z.unknown(),
  status: z.string(),
  environment: z.enum(['sandbox', 'live']),
  workflow_id: z.string().nullable(),
  features: z.array(z.string()),
  vendor_data: z.string().nullable(),
  metadata: z.unknown(),
  created_at: time,
  expires_at: time.nullable(),
});

/** A decision: Didit's keys, whose arrays hold whatever the checks said. */
export const decisionReply = decision.meta({
  id: 'Decision',
  description:
    'A session with the results of its checks: an array for each sort of check, empty for one that never ran.',
});

/** A session that was taken in: its decision, and the caller's own id of it. */
export const takenInReply = decision
  .extend({ external_id: z.string().nullable() })
  .meta({ id: 'TakenInSession', description: 'A decision, with the `external_id` that it was taken in under.' });

export const provenanceItem = z.strictObject({
  hop: z.int(),
  source_session_id: z.string(),
  source_application_id: z.string(),
  token_id: z.string(),
  imported_at: time,
});

/** A member as the OpenAPI document tells of it; what it may hold is decided by `readDecision`. */
const told = (schema: Record<string, unknown>) => z.unknown().meta(schema);
const shortText = (field: keyof typeof MAX_CHARACTERS) =>
  told({ type: ['string', 'null'], maxLength: MAX_CHARACTERS[field] }).optional();
const checkArrays = Object.fromEntries(
  ARRAY_NAMES.map((name) => [name, told({ type: ['array', 'null'], items: { type: 'object' } }).optional()]),
);

/** Body of `POST /v1/sessions/`: a decision document of either kind, and `external_id`. `readDecision` reads it. */
export const documentBody = z.looseObject({
  external_id: shortText('external_id'),
  session_kind: told({ enum: ['user', 'business'] }).optional(),
  status: told({
    type: 'string',
    description: "One of Didit's ten statuses, in Title Case or UPPER_SNAKE.",
  }).optional(),
  vendor_data: shortText('vendor_data'),
  environment: told({ enum: ['sandbox', 'live', null] }).optional(),
  features: told({
    type: ['array', 'null'],
    maxItems: MAX_FEATURES,
    items: { type: 'string', pattern: CODE.source },
  }).optional(),
  nfc_skip_reason: told({ type: ['string', 'null'], pattern: CODE.source }).optional(),
  created_at: told({ type: ['string', 'null'], format: 'date-time' }).optional(),
  expires_at: told({ type: ['string', 'null'], format: 'date-time' }).optional(),
  ...checkArrays,
});

/** Query of `GET /v1/sessions/{session_id}/provenance/`. */
export const provenanceQuery = z.object(pageQuery);

/** What refuses an import, whoever asks for it (contract row 2). */
export const IMPORT_REFUSALS = [
  'already_imported',
  'connection_suspended',
  'application_deleted',
  'source_session_gone',
  'source_not_shareable',
  'workflow_not_found',
  'workflow_kind_mismatch',
  'workflow_required',
  'entity_blocked',
] as const;

export const sharingContracts = {
  mint: {
    operationId: 'mintShareToken',
    tag: 'Sharing',
    summary: 'Mint a share token for a finished session',
    description:
      'The token lets one application import this session, once, until it expires. Give it to that application over a ' +
      'channel that you trust: whoever holds it and that application’s key can use it.',
    body: mintBody,
    replies: { 201: mintReply, ...postErrors },
    refusals: ['session_not_found', 'session_not_finished', 'connection_suspended', 'application_deleted'],
    examples: {
      body: { for_application_id: EXAMPLE_IDS.partner, ttl_in_seconds: 3600 },
      replies: {
        201: { share_token: EXAMPLE_TOKEN, for_application_id: EXAMPLE_IDS.partner, session_kind: 'user' },
      },
    },
  },
  redeem: {
    operationId: 'importSharedSession',
    tag: 'Sharing',
    summary: 'Import a shared session with its token',
    description:
      'Makes a session of your own out of the shared one, as it is now, and answers with its decision. With ' +
      '`trust_review: true` it keeps its status, otherwise it is in review. A token works once.',
    body: importBody,
    replies: { 201: decisionReply, ...postErrors },
    refusals: [
      'share_token_invalid',
      'share_token_not_for_this_application',
      'share_token_expired',
      'share_token_revoked',
      ...IMPORT_REFUSALS,
    ],
    examples: {
      body: {
        share_token: EXAMPLE_TOKEN,
        workflow_id: EXAMPLE_IDS.workflow,
        trust_review: true,
        vendor_data: 'partner-user-42',
      },
      replies: { 201: { ...EXAMPLE_IMPORT, vendor_data: 'partner-user-42' } },
    },
  },
} satisfies Record<string, RouteContract>;

/** What is left of a deleted session (Didit's shape). */
export const deletedReply = z
  .strictObject({
    session_id: z.string(),
    session_number: z.int(),
    face_retention_outcome: z.literal('none'),
    biometric_template_uuid: z.null(),
  })
  .meta({ id: 'DeletedSession' });

export const sessionContracts = {
  delete: {
    operationId: 'deleteSession',
    tag: 'Sessions',
    summary: 'Delete a session for good',
    description:
      'Its tokens stop working, and importing it answers 404. Imports that were made of it stay. Deleting an import ' +
      'deletes the people that a business brought along, and frees the pair for another token. The body may be left out: ' +
      'what it says of face templates is checked, and none are kept here.',
    body: deleteBody,
    replies: { 200: deletedReply, ...bodyErrors },
    refusals: ['session_not_found'],
    examples: {
      body: { deletion_instruction: 'operational_session_delete' },
      replies: {
        200: {
          session_id: EXAMPLE_IDS.session,
          session_number: 43762,
          face_retention_outcome: 'none',
          biometric_template_uuid: null,
        },
      },
    },
  },
  takeIn: {
    operationId: 'takeInSession',
    tag: 'Sessions',
    summary: 'Take in a session as a decision document; the same external_id twice is one session',
    description:
      'The document is what `GET /v3/session/{session_id}/decision/` answers, of either kind. Its `session_id`, ' +
      '`session_number`, `workflow_id` and `application_id` are ignored. 201 when it is new; 200 with the stored session ' +
      'when its `external_id` is known.',
    body: documentBody,
    replies: { 200: takenInReply, 201: takenInReply, ...postErrors },
    refusals: ['external_id_conflict', 'application_deleted'],
    examples: {
      body: {
        external_id: 'crm-42',
        session_kind: 'user',
        status: 'Approved',
        vendor_data: 'customer-42',
        id_verifications: EXAMPLE_DECISION.id_verifications,
      },
      replies: {
        200: { ...EXAMPLE_DECISION, external_id: 'crm-42' },
        201: { ...EXAMPLE_DECISION, external_id: 'crm-42' },
      },
    },
  },
  decision: {
    operationId: 'readDecision',
    tag: 'Sessions',
    summary: 'Read the decision of a session',
    replies: { 200: decisionReply, ...idErrors },
    refusals: ['session_not_found'],
    examples: { replies: { 200: EXAMPLE_DECISION } },
  },
  read: {
    operationId: 'readSession',
    tag: 'Sessions',
    summary: 'Read a session: its decision, as some of Didit’s clients ask for it',
    replies: { 200: decisionReply, ...idErrors },
    refusals: ['session_not_found'],
    examples: { replies: { 200: EXAMPLE_DECISION } },
  },
  provenance: {
    operationId: 'readProvenance',
    tag: 'Sessions',
    summary: 'Read where an imported session came from, the nearest hop first',
    description: 'An empty list for a session that was not imported.',
    query: provenanceQuery,
    replies: { 200: pageReply(provenanceItem), ...idErrors, 400: errorBody },
    refusals: ['session_not_found'],
    examples: {
      replies: {
        200: examplePage({
          hop: 1,
          source_session_id: EXAMPLE_IDS.session,
          source_application_id: EXAMPLE_IDS.issuer,
          token_id: EXAMPLE_IDS.token,
          imported_at: EXAMPLE_TIME,
        }),
      },
    },
  },
} satisfies Record<string, RouteContract>;
