import { z } from 'zod';
import { SANDBOX_SCENARIOS, scenarioNamed, type SandboxScenario } from '../../domain/sandbox/scenarios.ts';
import { SESSION_STATUSES } from '../../domain/session-status.ts';
import { nestsDeeper, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, errorBody, postErrors, publicErrors } from './errors.ts';
import { EXAMPLE_IDS } from './examples.ts';
import { bool, day, oneOf, text, vendorData } from './fields.ts';
import { LANGUAGES } from './languages.ts';
import { portraitImage } from './portrait-image.ts';
import { workflowId } from './sharing.ts';

const MAX_METADATA_CHARACTERS = 32_768;
const MAX_METADATA_LEVELS = 20;

const language = oneOf(LANGUAGES);

const metadata = z
  .unknown()
  .refine((value) => !nestsDeeper(value as JsonValue, MAX_METADATA_LEVELS), {
    error: `Must not nest deeper than ${MAX_METADATA_LEVELS} levels.`,
    abort: true,
  })
  .refine((value) => (JSON.stringify(value) ?? '').length <= MAX_METADATA_CHARACTERS, {
    error: `Ensure this field has no more than ${MAX_METADATA_CHARACTERS} characters as JSON.`,
  })
  .transform((value) => (value ?? null) as JsonValue)
  .optional();

/** A telephone number as E.164; one that cannot be read so is as good as none (Didit's rule). */
const phone = text(50)
  .nullable()
  .transform((number) => {
    const bare = number?.replaceAll(/[\s().-]/g, '') ?? '';
    return /^\+[1-9]\d{6,14}$/.test(bare) ? bare : null;
  });

const contactDetails = z
  .object(
    {
      email: z.email('Enter a valid email address.').max(254, 'Enter a valid email address.').nullable().optional(),
      send_notification_emails: bool.optional(),
      email_lang: language.nullable().optional(),
      phone: phone.optional(),
    },
    'Must be an object.',
  )
  .transform((given) => ({
    email: given.email ?? null,
    phone: given.phone ?? null,
    email_lang: given.email_lang ?? 'en',
    send_notification_emails: given.send_notification_emails ?? false,
  }));

const alpha3 = text(3)
  .regex(/^[A-Za-z]{3}$/, 'Must be a country code of three letters (ISO 3166-1 alpha-3).')
  .transform((code) => code.toUpperCase());
const DOCUMENT_TYPES = ['P', 'ID', 'DL', 'RP', 'HIC', 'TC', 'SSC'] as const;

const expectedDetails = z
  .object(
    {
      first_name: text(255).nullable(),
      last_name: text(255).nullable(),
      date_of_birth: day.nullable(),
      gender: oneOf(['M', 'F']).nullable(),
      nationality: alpha3.nullable(),
      country: alpha3.nullable(),
      id_country: alpha3.nullable(),
      poa_country: alpha3.nullable(),
      address: text(512).nullable(),
      identification_number: text(255).nullable(),
      ip_address: z.union([z.ipv4(), z.ipv6()], 'Enter a valid IPv4 or IPv6 address.').nullable(),
      expected_document_types: z
        .array(
          z
            .string('Not a valid string.')
            .transform((type) => type.toUpperCase())
            .pipe(oneOf(DOCUMENT_TYPES)),
          'Must be a list of document types.',
        )
        .max(50, 'Ensure this list has no more than 50 items.')
        .transform((types) => [...new Set(types)])
        .nullable(),
      company_name: text(255).nullable(),
      registry_country: text(10)
        .regex(/^[A-Za-z]{2}(-[A-Za-z0-9]{1,7})?$/, 'Must be a country code such as GB, or one with a region: US-DE.')
        .nullable(),
      registration_number: text(100).nullable(),
    },
    'Must be an object.',
  )
  .partial()
  .refine(
    ({ address, country, poa_country }) => (address ?? null) === null || (country ?? poa_country ?? null) !== null,
    {
      error: 'An address needs country or poa_country.',
      path: ['address'],
    },
  )
  .transform(
    (given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as JsonObject,
  );

/** A scenario by its slug. */
const scenario = z.string('Not a valid string.').transform((slug, context): SandboxScenario => {
  const found = scenarioNamed(slug);
  if (found !== null) return found;
  const known = SANDBOX_SCENARIOS.map((one) => one.slug).join(', ');
  context.addIssue({
    code: 'custom',
    message: `Unknown sandbox scenario: '${slug.slice(0, 50)}'. Known are ${known}.`,
  });
  return z.NEVER;
});

/** Body of `POST /v3/session/`. */
export const createSessionBody = z.object({
  workflow_id: workflowId,
  vendor_data: vendorData.optional(),
  callback: text(2048).nullable().optional(),
  callback_method: oneOf(['initiator', 'completer', 'both']).nullable().optional(),
  metadata,
  language: language.nullable().optional(),
  contact_details: contactDetails.nullable().optional(),
  expected_details: expectedDetails.nullable().optional(),
  portrait_image: portraitImage.nullable().optional(),
  sandbox_scenario: scenario.nullable().optional(),
});

export const createdSessionReply = z.strictObject({
  session_id: z.string(),
  session_number: z.int(),
  session_kind: z.enum(['user', 'business']),
  session_token: z.string(),
  url: z.string(),
  vendor_data: z.string().nullable(),
  metadata: z.unknown(),
  status: z.string(),
  workflow_id: z.string(),
  workflow_version: z.int(),
  callback: z.string().nullable(),
});

/** Body of `POST /v3/session/{id}/sandbox/arm/`. */
export const armBody = z.object({
  scenario: z
    .string({ error: ({ input }) => (input === undefined ? 'This field is required.' : 'Not a valid string.') })
    .pipe(scenario),
});

export const armReply = z.strictObject({ session_id: z.string(), scenario: z.string(), status: z.string() });

export const scenariosReply = z.strictObject({
  scenarios: z.array(
    z.strictObject({
      slug: z.string(),
      status: z.enum(SESSION_STATUSES),
      description: z.string(),
      session_kinds: z.array(z.enum(['user', 'business'])),
    }),
  ),
});

const flowToken = z.string().meta({ description: 'The `session_token` of a session.' });

/** What whoever opens a session's `url` is told. */
export const NO_FLOW =
  'There is no hosted verification flow here. A sandbox session is simulated by POST /v3/session/{session_id}/sandbox/arm/ ' +
  'with its session_token in the header Session-Token.';

const flowReply = z.strictObject({ detail: z.literal(NO_FLOW) });

export const sessionCreationContracts = {
  create: {
    operationId: 'createSession',
    tag: 'Sessions',
    summary: 'Create a session',
    description:
      'Makes a session of a verification workflow, or of one of its versions. When the customer (`vendor_data`) has an ' +
      'unfinished session on it, that one comes back instead, with this callback and metadata. `portrait_image` is checked ' +
      'and not kept. A sandbox application can name a `sandbox_scenario`: then a new session is simulated to its end at once.',
    body: createSessionBody,
    replies: { 201: createdSessionReply, ...postErrors },
    refusals: ['application_deleted'],
    examples: {
      body: {
        workflow_id: EXAMPLE_IDS.workflow,
        vendor_data: 'customer-42',
        callback: 'https://issuer.example/verified',
        metadata: { tier: 'a' },
        sandbox_scenario: 'approved',
      },
      replies: {
        201: {
          session_id: EXAMPLE_IDS.session,
          session_number: 43762,
          session_kind: 'user',
          session_token: '3FaJ9wLqX2Mz',
          url: 'https://handoff.example/session/3FaJ9wLqX2Mz',
          vendor_data: 'customer-42',
          metadata: { tier: 'a' },
          status: 'Approved',
          workflow_id: EXAMPLE_IDS.workflow,
          workflow_version: 1,
          callback: 'https://issuer.example/verified',
        },
      },
    },
  },
  arm: {
    operationId: 'armSandboxSession',
    tag: 'Sessions',
    summary: 'Simulate a sandbox session that was not started',
    description:
      'The header `Session-Token` takes the `session_token` of the session in place of an API key. The scenario is carried ' +
      'out at once, and the answer shows the status that the session then has.',
    headers: { 'Session-Token': z.string().meta({ description: 'The `session_token` of the session.' }) },
    body: armBody,
    replies: { 200: armReply, ...postErrors },
    refusals: ['authentication_failed', 'session_not_found', 'application_deleted'],
    examples: {
      body: { scenario: 'in_review' },
      replies: { 200: { session_id: EXAMPLE_IDS.session, scenario: 'in_review', status: 'In Review' } },
    },
  },
  flow: {
    operationId: 'explainHostedFlow',
    tag: 'Sessions',
    summary: 'Open the `url` of a session: it says that there is no hosted flow here',
    description: 'The same answer for every token, one that is none included: it looks at no session.',
    params: { session_token: flowToken },
    replies: { 200: flowReply, ...publicErrors },
    examples: { replies: { 200: { detail: NO_FLOW } } },
  },
  flowInLanguage: {
    operationId: 'explainHostedFlowInLanguage',
    tag: 'Sessions',
    summary: 'Open the `url` of a session that was made with a `language`',
    description: 'The same answer as without the language.',
    params: { language: oneOf(LANGUAGES), session_token: flowToken },
    replies: { 200: flowReply, ...publicErrors, 404: errorBody },
    refusals: ['not_found'],
    examples: { replies: { 200: { detail: NO_FLOW } } },
  },
  scenarios: {
    operationId: 'listSandboxScenarios',
    tag: 'Sessions',
    summary: 'List the sandbox scenarios',
    description: 'Each can be given as `sandbox_scenario` to a new session, and to arm one. Each works for both kinds.',
    replies: { 200: scenariosReply, ...anyRouteErrors },
    examples: {
      replies: {
        200: {
          scenarios: [
            {
              slug: 'approved',
              status: 'Approved',
              description: 'Every check passes.',
              session_kinds: ['user', 'business'],
            },
          ],
        },
      },
    },
  },
} satisfies Record<string, RouteContract>;
