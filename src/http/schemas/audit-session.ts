import { z } from 'zod';
import { ACCEPTANCES, ENDINGS, ONBOARDING_STATUSES, VENDOR_DATA_RULES } from '../../domain/onboarding.ts';
import { auditActor, auditEvent, EXAMPLE_AUDIT_EVENT } from './audit-event.ts';
import type { RouteContract } from './contract.ts';
import { idErrors } from './errors.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME } from './examples.ts';
import { time } from './fields.ts';
import { reviewListItem } from './session-reviews.ts';

const application = z.strictObject({
  application_id: z.string(),
  name: z.string().nullable().meta({ description: '`null` unless you have a connection with it.' }),
});

const tokenMembers = {
  token_id: z.string(),
  kid: z.string().meta({ description: 'The key that signed it.' }),
  issued_at: time,
  expires_at: time,
  closed_at: time.nullable(),
  closed_as: z.enum(ENDINGS).nullable(),
  closed_reason: z.string().nullable(),
};

const ACKNOWLEDGEMENT_STATES = ['unspent', 'spent', 'redeemed', 'refused', 'withdrawn'] as const;

const agreement = z.strictObject({
  reference: z.string(),
  document_sha256: z.string(),
  legal_basis: z.string(),
  purpose: z.string(),
  signed_on: z.string(),
  valid_until: z.string().nullable(),
  in_force: z.boolean(),
});

const imported = z.strictObject({
  issuer: application,
  source_session_id: z.string(),
  token: z.strictObject(tokenMembers),
  redeemed_at: time,
  deleted_at: time.nullable().meta({ description: 'When this import was deleted. The token stays used.' }),
  trust_review: z.boolean().meta({ description: 'Whether the status was taken over, as the import was told.' }),
  imported_by: auditActor.nullable(),
  acknowledgements: z.array(
    z.strictObject({
      acknowledgement_id: z.string(),
      accept: z.boolean(),
      state: z.enum(ACKNOWLEDGEMENT_STATES),
      spent_code: z.string().nullable(),
      created_at: time,
    }),
  ),
  onboarding: z
    .strictObject({
      status: z.enum(ONBOARDING_STATUSES),
      reason: z.string().nullable(),
      acceptance: z.enum(ACCEPTANCES).nullable(),
      created_at: time,
      ended_at: time.nullable(),
    })
    .nullable(),
  connection: z
    .strictObject({
      connection_id: z.string(),
      status: z.enum(['proposed', 'active']),
      suspended: z.boolean(),
      acceptance: z.enum(ACCEPTANCES),
      trust_review: z.boolean(),
      vendor_data_rule: z.enum(VENDOR_DATA_RULES),
      agreements: z.strictObject({ issuer: agreement.nullable(), partner: agreement.nullable() }),
    })
    .nullable()
    .meta({ description: 'As it stands now.' }),
  deliveries: z
    .array(
      z.strictObject({
        delivery_id: z.string(),
        destination_id: z.string(),
        event_type: z.string(),
        state: z.string(),
        attempts: z.int(),
        last_reason: z.string().nullable(),
        created_at: time,
        ended_at: time.nullable(),
      }),
    )
    .meta({ description: 'What your destinations were sent about the token, as long as the log is kept.' }),
});

const share = z.strictObject({
  ...tokenMembers,
  partner: application,
  outcome: z.enum(['open', ...ENDINGS]),
  redeemed_at: time.nullable(),
  acknowledgement: z.enum(ACKNOWLEDGEMENT_STATES).nullable(),
  minted_by: auditActor.nullable(),
  connection_id: z.string().nullable(),
});

/** Reply of `GET /v1/audit/sessions/{session_id}/`. */
export const sessionTrail = z
  .strictObject({
    session_id: z.string(),
    session: z
      .strictObject({
        session_kind: z.enum(['user', 'business']),
        environment: z.enum(['sandbox', 'live']),
        status: z.string(),
        first_status: z.string().meta({ description: 'That it was made, or imported, with.' }),
        workflow_id: z.string().nullable(),
        workflow_version: z.int(),
        parent_import: z
          .string()
          .nullable()
          .meta({ description: 'The business import that brought this person along.' }),
        created_at: time,
        updated_at: time,
      })
      .nullable()
      .meta({ description: '`null` when it was deleted.' }),
    import: imported.nullable().meta({ description: '`null` when it was not imported.' }),
    hops: z
      .array(
        z.strictObject({
          hop: z.int(),
          source_session_id: z.string(),
          application,
          token_id: z.string(),
          imported_at: time,
        }),
      )
      .meta({ description: 'Where it came from, the nearest first. They go with the session.' }),
    reviews: z.strictObject({
      count: z.int(),
      results: z.array(
        reviewListItem.extend({
          origin: z.enum(['own', 'came_along']).meta({ description: 'Given here, or brought by what was taken in.' }),
        }),
      ),
    }),
    shares: z
      .strictObject({ count: z.int(), results: z.array(share) })
      .meta({ description: 'The tokens that were minted of it, newest first, and what became of each.' }),
    events: z
      .strictObject({ count: z.int(), results: z.array(auditEvent) })
      .meta({ description: 'Newest first. `GET /v1/audit/?session_id=` pages through all of them.' }),
  })
  .meta({ id: 'SessionTrail' });

const EXAMPLE_PARTS = {
  token: {
    token_id: EXAMPLE_IDS.token,
    kid: '2026-11',
    issued_at: EXAMPLE_TIME,
    expires_at: EXAMPLE_TIME,
    closed_at: null,
    closed_as: null,
    closed_reason: null,
  },
  issuer: { application_id: EXAMPLE_IDS.issuer, name: 'Service X' },
};

export const trailContract = {
  operationId: 'readSessionTrail',
  tag: 'Audit',
  summary: 'Read the whole line of a session: where it came from, who decided what, where it went',
  description:
    'For any session of yours. Of an imported one: its source and every hop, the token, the connection and its ' +
    'agreements, deliveries, acknowledgements, who imported it and how it stands. Of one that you shared: each token, to ' +
    'whom, and what became of it. A deleted session answers with what is kept of it. Lists hold the newest hundred.',
  replies: { 200: sessionTrail, ...idErrors },
  refusals: ['session_not_found'],
  examples: {
    replies: {
      200: {
        session_id: EXAMPLE_IDS.importedSession,
        session: {
          session_kind: 'user',
          environment: 'sandbox',
          status: 'Approved',
          first_status: 'In Review',
          workflow_id: EXAMPLE_IDS.workflow,
          workflow_version: 1,
          parent_import: null,
          created_at: EXAMPLE_TIME,
          updated_at: EXAMPLE_TIME,
        },
        import: {
          issuer: EXAMPLE_PARTS.issuer,
          source_session_id: EXAMPLE_IDS.session,
          token: EXAMPLE_PARTS.token,
          redeemed_at: EXAMPLE_TIME,
          deleted_at: null,
          trust_review: false,
          imported_by: { kind: 'onboarding', id: EXAMPLE_IDS.token },
          acknowledgements: [],
          onboarding: null,
          connection: null,
          deliveries: [
            {
              delivery_id: EXAMPLE_IDS.delivery,
              destination_id: EXAMPLE_IDS.destination,
              event_type: 'share.received',
              state: 'delivered',
              attempts: 1,
              last_reason: 'http_200',
              created_at: EXAMPLE_TIME,
              ended_at: EXAMPLE_TIME,
            },
          ],
        },
        hops: [
          {
            hop: 1,
            source_session_id: EXAMPLE_IDS.session,
            application: EXAMPLE_PARTS.issuer,
            token_id: EXAMPLE_IDS.token,
            imported_at: EXAMPLE_TIME,
          },
        ],
        reviews: { count: 0, results: [] },
        shares: { count: 0, results: [] },
        events: {
          count: 1,
          results: [
            {
              ...EXAMPLE_AUDIT_EVENT,
              type: 'status.updated',
              subject_id: EXAMPLE_IDS.importedSession,
              session_id: EXAMPLE_IDS.importedSession,
              actor: { kind: 'onboarding', id: EXAMPLE_IDS.token },
              reason: 'imported',
              request_id: null,
            },
          ],
        },
      },
    },
  },
} satisfies RouteContract;
