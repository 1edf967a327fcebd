import { z } from 'zod';
import { ACCEPTANCES, ONBOARDING_STATUSES, STEPS } from '../../domain/onboarding.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, errorBody, idErrors, postErrors } from './errors.ts';
import { bool, oneOf, ours, text, time, ttlInSeconds, uuid, vendorData } from './fields.ts';
import { pageReply } from './pages.ts';
import { workflowId } from './sharing.ts';

/** Body of `POST /v1/onboardings/`. */
export const startBody = ours({ session_id: uuid, for_application_id: uuid, ttl_in_seconds: ttlInSeconds });

/** The part of it that is looked at first: an unknown session is refused before any other field. */
export const startSession = z.looseObject({ session_id: uuid });

/** Body of `POST /v1/onboardings/{token_id}/acknowledge/`. */
export const acknowledgeBody = ours({
  accept: bool,
  workflow_id: workflowId.optional(),
  vendor_data: vendorData.optional(),
  trust_review: bool.optional(),
  reason: text(1000).nullable().optional(),
});

/** Body of `POST /v1/onboardings/{token_id}/revoke/`. */
export const revokeBody = ours({});

/** Query of `GET /v1/onboardings/`. */
export const onboardingsQuery = z.object({
  ...pageQuery,
  status: oneOf(ONBOARDING_STATUSES).optional(),
  session_kind: oneOf(['user', 'business']).optional(),
  role: oneOf(['issuer', 'partner']).optional(),
});

/** An onboarding, as its issuer or its partner sees it. */
export const onboardingReply = z.strictObject({
  token_id: z.string(),
  status: z.enum(ONBOARDING_STATUSES),
  reason: z.string().nullable(),
  session_kind: z.enum(['user', 'business']),
  issuer_application_id: z.string(),
  partner_application_id: z.string(),
  /** The issuer's own session; null for the partner. */
  session_id: z.string().nullable(),
  imported_session_id: z.string().nullable(),
  /** Null until minted. */
  acceptance: z.enum(ACCEPTANCES).nullable(),
  created_at: time,
  ended_at: time.nullable(),
  /** Null until minted. */
  expires_at: time.nullable(),
  acknowledgement: z
    .strictObject({
      accept: z.boolean(),
      state: z.enum(['unspent', 'spent', 'redeemed', 'refused', 'withdrawn']),
      reason: z.string().nullable(),
      /** Why its import was refused, and the field to mend. */
      code: z.string().nullable(),
      field: z.string().nullable(),
    })
    .nullable(),
  steps: z.array(
    z.strictObject({
      step: z.enum(STEPS),
      started_at: time,
      finished_at: time.nullable(),
      attempts: z.int(),
      result: z.string().nullable(),
    }),
  ),
});

export const startReply = onboardingReply.extend({ for_application_id: z.string() });

export const onboardingContracts = {
  start: {
    summary: 'Hand a finished session to a partner, as a durable run',
    body: startBody,
    replies: { 202: startReply, ...postErrors },
  },
  list: {
    summary: 'List onboardings, as issuer and as partner, newest first',
    query: onboardingsQuery,
    replies: { 200: pageReply(onboardingReply), ...anyRouteErrors, 400: errorBody },
  },
  read: { summary: 'Read an onboarding with its steps', replies: { 200: onboardingReply, ...idErrors } },
  acknowledge: {
    summary: 'Accept or refuse a share, as its partner',
    body: acknowledgeBody,
    replies: { 200: onboardingReply, ...postErrors },
  },
  revoke: {
    summary: 'Take a share back, as its issuer',
    body: revokeBody,
    replies: { 200: onboardingReply, ...postErrors },
  },
} satisfies Record<string, RouteContract>;
