import { z } from 'zod';
import { ACCEPTANCES, ONBOARDING_STATUSES, STEPS } from '../../domain/onboarding.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, errorBody, idErrors, postErrors } from './errors.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME, examplePage } from './examples.ts';
import { bool, oneOf, ours, text, time, ttlInSeconds, uuid, vendorData } from './fields.ts';
import { pageReply } from './pages.ts';
import { IMPORT_REFUSALS, workflowId } from './sharing.ts';

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
  status: oneOf(ONBOARDING_STATUSES).optional().meta({ description: 'How far it is; any by default.' }),
  session_kind: oneOf(['user', 'business'])
    .optional()
    .meta({ description: 'What its session is about; either by default.' }),
  role: oneOf(['issuer', 'partner'])
    .optional()
    .meta({ description: 'Which side of it the application is; either by default.' }),
});

const onboarding = z.strictObject({
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

/** An onboarding, as its issuer or its partner sees it. */
export const onboardingReply = onboarding.meta({
  id: 'Onboarding',
  description:
    'One handoff, as its issuer or its partner sees it: `session_id` is the issuer’s own, null for the partner.',
});

export const startReply = onboarding
  .extend({ for_application_id: z.string() })
  .meta({ id: 'StartedOnboarding', description: 'An onboarding, and the application that it is for.' });

const started = {
  token_id: EXAMPLE_IDS.token,
  status: 'minting',
  reason: null,
  session_kind: 'user',
  issuer_application_id: EXAMPLE_IDS.issuer,
  partner_application_id: EXAMPLE_IDS.partner,
  session_id: EXAMPLE_IDS.session,
  imported_session_id: null,
  acceptance: null,
  created_at: EXAMPLE_TIME,
  ended_at: null,
  expires_at: null,
  acknowledgement: null,
  steps: [{ step: 'mint', started_at: EXAMPLE_TIME, finished_at: null, attempts: 1, result: null }],
};
const waiting = {
  ...started,
  status: 'waiting',
  acceptance: 'acknowledge',
  expires_at: EXAMPLE_TIME,
  steps: [
    { step: 'mint', started_at: EXAMPLE_TIME, finished_at: EXAMPLE_TIME, attempts: 1, result: 'minted' },
    { step: 'deliver', started_at: EXAMPLE_TIME, finished_at: EXAMPLE_TIME, attempts: 1, result: 'delivered' },
    { step: 'wait', started_at: EXAMPLE_TIME, finished_at: null, attempts: 1, result: null },
  ],
};
const accepted = {
  ...waiting,
  session_id: null,
  acknowledgement: { accept: true, state: 'unspent', reason: null, code: null, field: null },
};

export const onboardingContracts = {
  start: {
    operationId: 'startOnboarding',
    tag: 'Onboardings',
    summary: 'Hand a finished session to a partner, as a durable run',
    description:
      'Mints a token, delivers it to the partner’s webhook destinations, waits for the partner’s word or its own import, ' +
      'imports and notifies both. It goes on through restarts and outages; read it to see how far it is.',
    body: startBody,
    replies: { 202: startReply, ...postErrors },
    refusals: ['session_not_found', 'session_not_finished', 'connection_suspended', 'application_deleted'],
    examples: {
      body: { session_id: EXAMPLE_IDS.session, for_application_id: EXAMPLE_IDS.partner, ttl_in_seconds: 3600 },
      replies: { 202: { ...started, for_application_id: EXAMPLE_IDS.partner } },
    },
  },
  list: {
    operationId: 'listOnboardings',
    tag: 'Onboardings',
    summary: 'List onboardings, as issuer and as partner, newest first',
    query: onboardingsQuery,
    replies: { 200: pageReply(onboardingReply), ...anyRouteErrors, 400: errorBody },
    examples: { replies: { 200: examplePage(waiting) } },
  },
  read: {
    operationId: 'readOnboarding',
    tag: 'Onboardings',
    summary: 'Read an onboarding with its steps',
    replies: { 200: onboardingReply, ...idErrors },
    refusals: ['unknown_onboarding'],
    examples: { replies: { 200: waiting } },
  },
  acknowledge: {
    operationId: 'acknowledgeOnboarding',
    tag: 'Onboardings',
    summary: 'Accept or refuse a share, as its partner',
    description:
      'Accepting reserves the token past its expiry until the import is done or refused. Refusing (`accept: false`) ends ' +
      'the onboarding, and withdraws an acceptance whose import has not happened yet.',
    body: acknowledgeBody,
    replies: { 200: onboardingReply, ...postErrors },
    refusals: [
      'unknown_onboarding',
      'onboarding_minting',
      'onboarding_ended',
      'acceptance_mode',
      'acknowledgement_conflict',
      ...IMPORT_REFUSALS,
    ],
    examples: {
      body: { accept: true, workflow_id: EXAMPLE_IDS.workflow, vendor_data: 'partner-user-42', trust_review: true },
      replies: { 200: accepted },
    },
  },
  revoke: {
    operationId: 'revokeOnboarding',
    tag: 'Onboardings',
    summary: 'Take a share back, as its issuer',
    description: 'Possible until the import. A second revocation answers the same.',
    body: revokeBody,
    replies: { 200: onboardingReply, ...postErrors },
    refusals: ['unknown_onboarding', 'onboarding_ended'],
    examples: {
      body: {},
      replies: { 200: { ...waiting, status: 'revoked', reason: 'revoked_by_issuer', ended_at: EXAMPLE_TIME } },
    },
  },
} satisfies Record<string, RouteContract>;
