import { z } from 'zod';
import { ACCEPTANCES, VENDOR_DATA_RULES } from '../../domain/onboarding.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, bodyErrors, errorBody, idErrors, postErrors } from './errors.ts';
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
  role: oneOf(['issuer', 'partner']).optional(),
  status: oneOf(['proposed', 'active']).optional(),
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
export const connectionReply = z.strictObject({
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
});

export const connectionContracts = {
  propose: {
    summary: 'Propose a connection to a partner, as its issuer',
    body: proposeBody,
    replies: { 201: connectionReply, ...postErrors },
  },
  list: {
    summary: 'List connections, as issuer and as partner, newest first',
    query: connectionsQuery,
    replies: { 200: pageReply(connectionReply), ...anyRouteErrors, 400: errorBody },
  },
  read: { summary: 'Read a connection', replies: { 200: connectionReply, ...idErrors } },
  change: {
    summary: 'Change a connection: the terms as its partner, suspension and agreement as either side',
    body: changeBody,
    replies: { 200: connectionReply, ...bodyErrors },
  },
} satisfies Record<string, RouteContract>;
