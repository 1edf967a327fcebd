import { z } from 'zod';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { errorBody, idErrors, postErrors } from './errors.ts';
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

/** A decision: Didit's keys, whose arrays hold whatever the checks said. */
export const decisionReply = z.looseObject({
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

/** A session that was taken in: its decision, and the caller's own id of it. */
export const takenInReply = decisionReply.extend({ external_id: z.string().nullable() });

export const provenanceItem = z.strictObject({
  hop: z.int(),
  source_session_id: z.string(),
  source_application_id: z.string(),
  token_id: z.string(),
  imported_at: time,
});

/** Bounds a text, and leaves everything else to `readDecision`. */
const atMost = (most: number) =>
  z
    .unknown()
    .refine((value) => typeof value !== 'string' || value.length <= most, {
      error: `Ensure this field has no more than ${most} characters.`,
    })
    .optional();

/** Body of `POST /v1/sessions/`: a decision document of either kind, and `external_id`. `readDecision` reads the rest. */
export const documentBody = z.looseObject({
  external_id: atMost(255),
  vendor_data: atMost(512),
  nfc_skip_reason: atMost(100),
});

/** Query of `GET /v1/sessions/{session_id}/provenance/`. */
export const provenanceQuery = z.object(pageQuery);

export const sharingContracts = {
  mint: {
    summary: 'Mint a share token for a finished session',
    body: mintBody,
    replies: { 201: mintReply, ...postErrors },
  },
  redeem: {
    summary: 'Import a shared session with its token',
    body: importBody,
    replies: { 201: decisionReply, ...postErrors },
  },
} satisfies Record<string, RouteContract>;

/** What is left of a deleted session (Didit's shape). */
export const deletedReply = z.strictObject({
  session_id: z.string(),
  session_number: z.int(),
  face_retention_outcome: z.literal('none'),
  biometric_template_uuid: z.null(),
});

export const sessionContracts = {
  delete: { summary: 'Delete a session for good', replies: { 200: deletedReply, ...idErrors } },
  takeIn: {
    summary: 'Take in a session as a decision document; the same external_id twice is one session',
    body: documentBody,
    replies: { 200: takenInReply, 201: takenInReply, ...postErrors },
  },
  decision: { summary: 'Read the decision of a session', replies: { 200: decisionReply, ...idErrors } },
  provenance: {
    summary: 'Read where an imported session came from, the nearest hop first',
    query: provenanceQuery,
    replies: { 200: pageReply(provenanceItem), ...idErrors, 400: errorBody },
  },
} satisfies Record<string, RouteContract>;
