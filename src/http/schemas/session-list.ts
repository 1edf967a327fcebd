import { z } from 'zod';
import type { SessionKind } from '../../domain/decision-categories.ts';
import { isCalendarDate } from '../../domain/decision-dates.ts';
import { isUuid } from '../../domain/ids.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, errorBody } from './errors.ts';
import { time } from './fields.ts';
import { pageReply } from './pages.ts';

const API_SERVICES = [
  'ID_VERIFICATION',
  'FACE_MATCH',
  'AGE_ESTIMATION',
  'FACE_SEARCH',
  'POA',
  'AML',
  'KYB_REGISTRY',
  'PASSIVE_LIVENESS',
  'DATABASE_VALIDATION',
  'PHONE_VERIFICATION',
  'EMAIL_VERIFICATION',
] as const;

const KINDS = new Map<string, readonly SessionKind[]>([
  ['user', ['user']],
  ['business', ['business']],
  ['all', ['user', 'business']],
]);

const TRUTHS = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

/** A filter given once; an empty one is none. */
function filter(description: string) {
  return z
    .string('Give it once.')
    .refine((text) => !text.includes('\0'), 'Null characters are not allowed.')
    .transform((text) => (text === '' ? undefined : text))
    .optional()
    .meta({ description });
}

/** A filter whose text is read by `read`; undefined is a text that it cannot read. */
function filterOf<T>(description: string, sentence: (text: string) => string, read: (text: string) => T | undefined) {
  return filter(description).transform((text, context): T | undefined => {
    if (text === undefined) return undefined;
    const value = read(text);
    if (value === undefined) context.addIssue({ code: 'custom', message: sentence(text) });
    return value;
  });
}

/** Words with commas between them. */
const csv = (description: string) =>
  filter(`${description} Several with commas between them.`).transform((text) =>
    text
      ?.split(',')
      .map((word) => word.trim())
      .filter((word) => word !== ''),
  );

const day = (description: string) =>
  filterOf(
    `${description} \`YYYY-MM-DD\`, in UTC.`,
    () => 'Enter a valid date.',
    (text) => (isCalendarDate(text) ? text : undefined),
  );

const uuid = (description: string) =>
  filterOf(
    description,
    () => 'Enter a valid UUID.',
    (text) => (isUuid(text.toLowerCase()) ? text.toLowerCase() : undefined),
  );

const flag = (description: string) =>
  filterOf(
    `${description} \`true\` or \`false\`.`,
    () => 'Must be a valid boolean: true or false.',
    (text) => TRUTHS.get(text.toLowerCase()),
  );

/** Query of `GET /v3/sessions/` (contract/didit-api.md 2.3). */
export const sessionListQuery = z.object({
  ...pageQuery,
  session_kind: filterOf(
    '`user` (default), `business` or `all`.',
    () => 'Must be "user", "business", or "all".',
    (text) => KINDS.get(text.toLowerCase()),
  ),
  status: csv('Statuses, such as `In Review` or `IN_REVIEW`. Unknown ones match nothing.'),
  vendor_data: filter('Your own id of the person or company, exactly.'),
  search: filter(
    'A session id, a session number, or your own id; text with `@` is an e-mail address (one that was checked, or that of `contact_details`), other text a name or a document ' +
      'number. Exact, but for case, spacing and, in document numbers, hyphens, dots and slashes.',
  ),
  workflow_id: csv('Ids of verification workflows, or of single versions. Malformed ones match nothing.'),
  date_from: day('Sessions created on this day or later:'),
  date_to: day('Sessions created on this day or earlier:'),
  country: csv('Issuing state of the identity document (three letters), or the code in the register of a company.'),
  warning: csv('Risk codes of warnings, such as `POSSIBLE_MATCH_FOUND`: any of them.'),
  organization_name: csv('Names of companies, exactly: sessions of businesses only.'),
  document_type: csv('Codes of identity documents: `P ID DL RP SSC HIC WP TC VISA PSC BC OTHER`.'),
  document_name: filter('Display name of an identity document as rows show it, such as `Passport`.'),
  region: csv('Regions of the world. No session has one here, so that it matches nothing.'),
  didit_internal_id: uuid('Id of a user or business: sessions with the same kind and `vendor_data`.'),
  session_type: csv('`API`, `HOSTED`, `MIGRATED` (imports and records taken in), or `ALL`.'),
  api_service: filterOf(
    `A service that was called by itself: ${API_SERVICES.join(', ')}. No session comes from one here, so that it matches nothing.`,
    (text) => `Select a valid choice. ${text.slice(0, 100)} is not one of the available choices.`,
    (text) => API_SERVICES.find((service) => service === text),
  ),
  screened_full_name: filter('Name of a person or company that was screened (AML), exactly.'),
  status_initialized_as_in_review: flag('Whether the session was `In Review` from its beginning.'),
  is_kyc_to_be_reviewed: flag('Whether it is a session of a person that is `In Review` now.'),
  euuid: uuid('No session has one here, so that it matches nothing.'),
});

export type SessionListQuery = z.output<typeof sessionListQuery>;

const text = z.string().nullable();
const truth = z.boolean().nullable();
const number = z.number().nullable();

/** A session of a person in the list. */
export const userRow = z.strictObject({
  session_id: z.string(),
  session_kind: z.literal('user'),
  session_number: z.int(),
  session_url: text,
  portrait_image: text,
  document_type: text,
  full_name: text,
  country: text,
  status: z.string(),
  vendor_data: text,
  didit_internal_id: text,
  created_at: time,
  features: z.array(z.strictObject({ feature: z.string(), status: z.string() })),
  phone_number: z.strictObject({ number: z.string(), is_verified: z.boolean() }).nullable(),
  email_address: z.strictObject({ email: z.string(), is_verified: z.boolean() }).nullable(),
  additional_details: z
    .strictObject({
      aml: z.strictObject({
        total_hits: number,
        entity_type: text,
        is_adverse_media_fetched: truth,
        screened_data: z.record(z.string(), z.unknown()).nullable(),
      }),
      database_validation: z.strictObject({ validation_type: text, match_type: text, identification_number: text }),
      poa: z.strictObject({ document_type: text, issuer: text, address: text, name_on_document: text }),
      liveness: z.strictObject({ method: text, score: number }),
      face_match: z.strictObject({ score: number, source_image: text, target_image: text }),
      phone_verification: z.strictObject({
        country_code: text,
        is_temporary: truth,
        is_ported: truth,
        is_blocked: truth,
      }),
      email_verification: z.strictObject({
        is_breached: truth,
        is_disposable: truth,
        is_undeliverable: truth,
        is_blocklisted: truth,
      }),
    })
    .partial()
    .nullable(),
});

/** A session of a company in the list. */
export const businessRow = z.strictObject({
  session_id: z.string(),
  session_kind: z.literal('business'),
  session_number: z.int(),
  status: z.string(),
  vendor_data: text,
  created_at: time,
  workflow_id: text,
  workflow_type: z.literal('kyb').nullable(),
  workflow_label: text,
  company_name: text,
  registration_number: text,
  country: text,
});

export type UserRow = z.infer<typeof userRow>;
export type BusinessRow = z.infer<typeof businessRow>;

export const sessionListContract = {
  operationId: 'listSessions',
  tag: 'Sessions',
  summary: 'List and search sessions, the newest first',
  description: `Filters narrow the list together; one that is empty is none. Within \`user\` and \`business\` the order is that of \`session_number\`.
With \`session_kind=all\` it is one list of both kinds in the order in which they came to this application, with one count.

Names, e-mail addresses and document numbers are found by keyed hashes of the exact value, which differ in every application. Names and numbers
are those of the session's own person or company, not of a company's officers and owners.`,
  query: sessionListQuery,
  replies: {
    200: pageReply(z.discriminatedUnion('session_kind', [userRow, businessRow])),
    ...anyRouteErrors,
    400: errorBody,
  },
  examples: {
    replies: {
      200: {
        count: 1,
        next: null,
        previous: null,
        results: [
          {
            session_id: '0199a1f0-7c3e-7d4f-9d0a-6f1f6d6f0001',
            session_kind: 'user',
            session_number: 43762,
            session_url: null,
            portrait_image: null,
            document_type: 'Identity Card',
            full_name: 'Ana Prueba',
            country: 'ESP',
            status: 'Approved',
            vendor_data: 'user-123',
            didit_internal_id: '0199a1f0-7c3e-7d4f-9d0a-6f1f6d6f0002',
            created_at: '2026-05-17T08:42:11.000000Z',
            features: [
              { feature: 'ID_VERIFICATION', status: 'Approved' },
              { feature: 'LIVENESS', status: 'Approved' },
            ],
            phone_number: null,
            email_address: { email: 'ana@example.test', is_verified: true },
            additional_details: { liveness: { method: 'PASSIVE', score: 0.99 } },
          },
        ],
      },
      400: { date_from: ['Enter a valid date.'], code: 'invalid_request' },
    },
  },
} satisfies RouteContract;
