import { z } from 'zod';
import { ACCEPTANCES, VENDOR_DATA_RULES } from '../../domain/onboarding.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, bodyErrors, errorBody, idErrors, postErrors } from './errors.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME, examplePage } from './examples.ts';
import { bool, day, oneOf, ours, text, time, uuid } from './fields.ts';
import { pageReply } from './pages.ts';

const agreement = ours({
  reference: text(255),
  document_sha256: text(64).regex(/^[0-9a-f]{64}$/, 'Must be a SHA-256 in 64 lower-case hexadecimal digits.'),
  legal_basis: text(255),
  purpose: text(1000),
  signer: text(255),
  signed_on: day,
  valid_until: day.nullable().optional(),
}).refine(({ signed_on, valid_until }) => valid_until == null || valid_until >= signed_on, {
  path: ['valid_until'],
  error: 'Must not be before signed_on.',
});

/** Body of `POST /v1/connections/`. */
export const proposeBody = ours({ partner_application_id: uuid, agreement: agreement.optional() });

/** Body of `PATCH /v1/connections/{connection_id}/`. */
export const changeBody = ours({
  status: oneOf(['active']).optional(),
  acceptance: oneOf(ACCEPTANCES).optional(),
  trust_review: bool.optional(),
  default_workflows: ours({ user: uuid.nullable().optional(), business: uuid.nullable().optional() }).optional(),
  vendor_data_rule: oneOf(VENDOR_DATA_RULES).optional(),
  suspended: bool.optional(),
  agreement: agreement.optional(),
});

/** Query of `GET /v1/connections/`. */
export const connectionsQuery = z.object({
  ...pageQuery,
  role: oneOf(['issuer', 'partner'])
    .optional()
    .meta({ description: 'Which side of it the application is; either by default.' }),
  status: oneOf(['proposed', 'active']).optional().meta({ description: 'How far it is; any by default.' }),
});

const agreementReply = z
  .strictObject({
    reference: z.string(),
    document_sha256: z.string(),
    legal_basis: z.string(),
    purpose: z.string(),
    signer: z.string(),
    signed_on: z.string(),
    valid_until: z.string().nullable(),
    recorded_at: time,
  })
  .nullable();

/** A connection, as either side sees it. */
export const connectionReply = z
  .strictObject({
    connection_id: z.string(),
    issuer_application_id: z.string(),
    partner_application_id: z.string(),
    environment: z.enum(['sandbox', 'live']),
    status: z.enum(['proposed', 'active']),
    /** By either side; each lifts its own. */
    suspended: z.boolean(),
    suspended_by_issuer_at: time.nullable(),
    suspended_by_partner_at: time.nullable(),
    acceptance: z.enum(ACCEPTANCES),
    trust_review: z.boolean(),
    /** The partner's own verification workflows; null for the issuer. */
    default_workflows: z.strictObject({ user: z.string().nullable(), business: z.string().nullable() }).nullable(),
    vendor_data_rule: z.enum(VENDOR_DATA_RULES),
    /** The latest signature of each side. */
    agreements: z.strictObject({ issuer: agreementReply, partner: agreementReply }),
    created_at: time,
    updated_at: time,
  })
  .meta({
    id: 'Connection',
    description:
      'The arrangement from an issuer to a partner. `default_workflows` are the partner’s own, null for the issuer.',
  });

const signature = {
  reference: 'DSA-2026-07',
  document_sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  legal_basis: 'contract',
  purpose: 'Onboarding of shared customers',
  signer: 'Data protection office',
  signed_on: '2026-11-01',
  valid_until: '2027-10-31',
};
const proposed = {
  connection_id: EXAMPLE_IDS.connection,
  issuer_application_id: EXAMPLE_IDS.issuer,
  partner_application_id: EXAMPLE_IDS.partner,
  environment: 'sandbox',
  status: 'proposed',
  suspended: false,
  suspended_by_issuer_at: null,
  suspended_by_partner_at: null,
  acceptance: 'acknowledge',
  trust_review: false,
  default_workflows: null,
  vendor_data_rule: 'prefixed',
  agreements: { issuer: { ...signature, recorded_at: EXAMPLE_TIME }, partner: null },
  created_at: EXAMPLE_TIME,
  updated_at: EXAMPLE_TIME,
};
const active = {
  ...proposed,
  status: 'active',
  acceptance: 'automatic',
  trust_review: true,
  default_workflows: { user: EXAMPLE_IDS.workflow, business: null },
};

export const connectionContracts = {
  propose: {
    operationId: 'proposeConnection',
    tag: 'Connections',
    summary: 'Propose a connection to a partner, as its issuer',
    description: 'The partner activates it, and sets its terms. There is one for each pair and direction.',
    body: proposeBody,
    replies: { 201: connectionReply, ...postErrors },
    refusals: ['connection_exists', 'application_deleted'],
    examples: {
      body: { partner_application_id: EXAMPLE_IDS.partner, agreement: signature },
      replies: { 201: proposed },
    },
  },
  list: {
    operationId: 'listConnections',
    tag: 'Connections',
    summary: 'List connections, as issuer and as partner, newest first',
    query: connectionsQuery,
    replies: { 200: pageReply(connectionReply), ...anyRouteErrors, 400: errorBody },
    examples: { replies: { 200: examplePage(active) } },
  },
  read: {
    operationId: 'readConnection',
    tag: 'Connections',
    summary: 'Read a connection',
    replies: { 200: connectionReply, ...idErrors },
    refusals: ['not_found'],
    examples: { replies: { 200: active } },
  },
  change: {
    operationId: 'changeConnection',
    tag: 'Connections',
    summary: 'Change a connection: the terms as its partner, suspension and agreement as either side',
    description: 'While either side suspends it, no session is shared over it. Each side lifts its own suspension.',
    body: changeBody,
    replies: { 200: connectionReply, ...bodyErrors },
    refusals: ['not_found', 'connection_change_not_yours', 'application_deleted'],
    examples: {
      body: {
        status: 'active',
        acceptance: 'automatic',
        trust_review: true,
        default_workflows: { user: EXAMPLE_IDS.workflow },
        vendor_data_rule: 'prefixed',
      },
      replies: { 200: active },
    },
  },
} satisfies Record<string, RouteContract>;
