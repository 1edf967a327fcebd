import { z } from 'zod';
import { pageQuery } from '../paging.ts';
import {
  accountBodyErrors,
  accountErrors,
  accountIdErrors,
  accountListErrors,
  accountPostErrors,
} from './account-errors.ts';
import type { RouteContract } from './contract.ts';
import { oneOf, text, time } from './fields.ts';
import { pageReply } from './pages.ts';

const name = text(255);
const url = text(2048).pipe(
  z.url({ protocol: /^https?$/, error: 'Enter a valid URL that begins with https:// or http://.' }),
);
const environment = oneOf(['sandbox', 'live']);

const details = {
  website_url: url.nullable().optional(),
  redirect_uris: z
    .array(url, 'Must be a list of URLs.')
    .max(100, 'Ensure this list has no more than 100 URLs.')
    .optional(),
  terms_url: url.nullable().optional(),
  privacy_url: url.nullable().optional(),
  description: z
    .string('Not a valid string.')
    .max(2000, 'Ensure this field has no more than 2000 characters.')
    .nullable()
    .optional(),
};

/** Body of `PATCH /auth/v2/organizations/me/{organization_id}/`. */
export const changeOrganizationBody = z.object({ name: name.optional() });

/** Body of `POST …/applications/`; without a name it is called after its organization, as with Didit. */
export const createApplicationBody = z.object({
  name: name.optional(),
  environment: environment.optional(),
  ...details,
});

/** Body of `PATCH …/applications/{application_id}/`. */
export const changeApplicationBody = createApplicationBody;

/** Query of a list of applications. */
export const applicationsQuery = z.object(pageQuery);

const organizationReply = z
  .strictObject({
    uuid: z.string(),
    name: z.string(),
    contact_email: z.string(),
    created_at: time,
  })
  .meta({ id: 'Organization' });

const applicationReply = z
  .strictObject({
    uuid: z.string(),
    name: z.string(),
    environment: z.enum(['sandbox', 'live']),
    client_id: z.string().nullable(),
    // Keys are stored as hashes: each is shown once, when it is made.
    api_key: z.null(),
    website_url: z.string().nullable(),
    redirect_uris: z.array(z.string()),
    terms_url: z.string().nullable(),
    privacy_url: z.string().nullable(),
    description: z.string().nullable(),
    created_at: time,
  })
  .meta({ id: 'Application' });

const createdApplicationReply = applicationReply.extend({
  api_key: z.string().nullable(),
  secret_replayed: z.literal(true).optional(),
});

const ORGANIZATION = {
  uuid: '0198c0de-0000-7000-8000-00000000000a',
  name: 'Aurora',
  contact_email: 'ada@aurora.example',
  created_at: '2026-11-23T08:00:00.000000Z',
};
const APPLICATION = {
  uuid: '0198c0de-0000-7000-8000-00000000000b',
  name: 'Aurora Bank',
  environment: 'sandbox',
  client_id: 'S9LIYGSoWNuGMLHsvEt9dQ',
  api_key: null,
  website_url: 'https://aurora.example',
  redirect_uris: ['https://aurora.example/callback'],
  terms_url: null,
  privacy_url: null,
  description: null,
  created_at: '2026-11-23T08:00:00.000000Z',
};

/** Routes of organizations and their applications. */
export const organizationContracts = {
  list: {
    operationId: 'listOrganizations',
    tag: 'Organizations',
    summary: 'List the organizations of the account',
    description: 'A bare array of those that the account belongs to.',
    replies: { 200: z.array(organizationReply), ...accountErrors },
    examples: { replies: { 200: [ORGANIZATION] } },
  },
  read: {
    operationId: 'readOrganization',
    tag: 'Organizations',
    summary: 'Read an organization',
    description: 'One of the account’s own; any other is not found.',
    replies: { 200: organizationReply, ...accountIdErrors },
    refusals: ['not_found'],
    examples: { replies: { 200: ORGANIZATION } },
  },
  change: {
    operationId: 'changeOrganization',
    tag: 'Organizations',
    summary: 'Rename an organization',
    description: 'The name is for people; nothing refers to it.',
    body: changeOrganizationBody,
    replies: { 200: organizationReply, ...accountBodyErrors },
    refusals: ['not_found'],
    examples: { body: { name: 'Aurora' }, replies: { 200: ORGANIZATION } },
  },
} satisfies Record<string, RouteContract>;

/** Routes of an organization's applications. */
export const applicationContracts = {
  list: {
    operationId: 'listApplications',
    tag: 'Organizations',
    summary: 'List the applications of an organization, oldest first',
    description: 'Each is a tenant of its own. Deleted ones are not listed.',
    query: applicationsQuery,
    replies: { 200: pageReply(applicationReply), ...accountListErrors },
    refusals: ['not_found'],
    examples: { replies: { 200: { count: 1, next: null, previous: null, results: [APPLICATION] } } },
  },
  create: {
    operationId: 'createApplication',
    tag: 'Organizations',
    summary: 'Create an application; its API key is shown this once',
    description:
      'It comes with a default verification workflow of each kind and an API key for everything. Without `environment` it is in the sandbox.',
    body: createApplicationBody,
    replies: { 201: createdApplicationReply, ...accountPostErrors },
    refusals: ['not_found'],
    examples: {
      body: {
        name: 'Aurora Bank',
        website_url: 'https://aurora.example',
        redirect_uris: ['https://aurora.example/callback'],
      },
      replies: {
        201: {
          ...APPLICATION,
          api_key: 'hnd_sandbox_0f3mX8QeYb2LkW7T_2wZ0c4Qv6n8r1Ykq3Tb5Xj7Lm9Pd0Fh2Ga4Se6Ui8Ao0000aB',
        },
      },
    },
  },
  read: {
    operationId: 'readApplication',
    tag: 'Organizations',
    summary: 'Read an application',
    description: 'Its `uuid` is what others name in `for_application_id`.',
    replies: { 200: applicationReply, ...accountIdErrors },
    refusals: ['not_found'],
    examples: { replies: { 200: APPLICATION } },
  },
  change: {
    operationId: 'changeApplication',
    tag: 'Organizations',
    summary: 'Change an application',
    description:
      'A change of `environment` holds for what is made from then on; sessions, tokens and connections keep theirs.',
    body: changeApplicationBody,
    replies: { 200: applicationReply, ...accountBodyErrors },
    refusals: ['not_found'],
    examples: {
      body: { name: 'Aurora Bank', environment: 'live' },
      replies: { 200: { ...APPLICATION, environment: 'live' } },
    },
  },
  delete: {
    operationId: 'deleteApplication',
    tag: 'Organizations',
    summary: 'Delete an application; its open shares are revoked on both sides',
    description: 'Its API keys go on reading what it holds, and write nothing any more.',
    replies: { 204: null, ...accountIdErrors },
    refusals: ['not_found'],
  },
} satisfies Record<string, RouteContract>;
