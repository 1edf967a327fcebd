import { z } from 'zod';
import { readNetwork } from '../../accounts/allowed-addresses.ts';
import { RESOURCES, type Privileges } from '../../accounts/privileges.ts';
import { pageQuery } from '../paging.ts';
import { accountBodyErrors, accountIdErrors, accountListErrors, accountPostErrors } from './account-errors.ts';
import type { RouteContract } from './contract.ts';
import { errorBody } from './errors.ts';
import { instant, oneOf, text, time, uuid } from './fields.ts';
import { pageReply } from './pages.ts';

const GRANTS = ['none', 'read', 'write'] as const;
const grant = oneOf(GRANTS);

/** What a key may do, by resource; one that is absent is `none`. */
const privileges = z
  .strictObject(Object.fromEntries(RESOURCES.map((resource) => [resource, grant.optional()])), {
    error: ({ input }) =>
      input === undefined
        ? 'This field is required.'
        : `Must be an object of resources (${RESOURCES.join(', ')}), each "none", "read" or "write".`,
  })
  .transform((grants): Privileges =>
    Object.fromEntries(Object.entries(grants).filter(([, granted]) => granted === 'read' || granted === 'write')),
  );

const NO_NETWORK = 'Must be an IP address or a network in CIDR form, such as 203.0.113.7 or 10.0.0.0/8.';
const allowedAddresses = z
  .array(
    z.string(NO_NETWORK).transform((address, context) => {
      const network = readNetwork(address);
      if (network !== null) return network;
      context.addIssue({ code: 'custom', message: NO_NETWORK });
      return z.NEVER;
    }),
    'Must be a list of IP addresses and networks.',
  )
  .max(100, 'Ensure this list has no more than 100 entries.')
  .transform((networks) => [...new Set(networks)]);

const name = text(255);

/** Body of `POST …/api-keys/`. */
export const createKeyBody = z.object({
  name,
  privileges,
  expires_at: instant.nullable().optional(),
  allowed_addresses: allowedAddresses.optional(),
});

/** Body of `PATCH …/api-keys/{key_id}/`. */
export const changeKeyBody = createKeyBody.partial();

/** Query of a list of keys. */
export const keysQuery = z.object(pageQuery);

const keyReply = z
  .strictObject({
    key_id: z.string(),
    name: z.string(),
    last_four: z.string(),
    privileges: z.record(z.enum(RESOURCES), z.enum(GRANTS)),
    allowed_addresses: z.array(z.string()),
    expires_at: time.nullable(),
    created_at: time,
    last_used_at: time.nullable(),
    revoked_at: time.nullable(),
  })
  .meta({ id: 'ApiKey' });

const createdKeyReply = keyReply.extend({
  api_key: z.string().nullable(),
  secret_replayed: z.literal(true).optional(),
});

const params = { organization_id: uuid, application_id: uuid, key_id: text(16) };

const KEY = {
  key_id: '0f3mX8QeYb2LkW7T',
  name: 'Back office',
  last_four: '0aB9',
  privileges: Object.fromEntries(RESOURCES.map((resource) => [resource, resource === 'sessions' ? 'read' : 'none'])),
  allowed_addresses: ['203.0.113.7', '10.0.0.0/8'],
  expires_at: '2027-01-31T00:00:00.000000Z',
  created_at: '2026-11-23T08:00:00.000000Z',
  last_used_at: null,
  revoked_at: null,
};

/** Routes of an application's API keys. */
export const apiKeyContracts = {
  list: {
    operationId: 'listApiKeys',
    tag: 'API keys',
    summary: 'List the API keys of an application, revoked ones too, newest first',
    description: 'Without their text, which is shown once, when a key is made.',
    query: keysQuery,
    replies: { 200: pageReply(keyReply), ...accountListErrors },
    refusals: ['not_found'],
    examples: { replies: { 200: { count: 1, next: null, previous: null, results: [KEY] } } },
  },
  create: {
    operationId: 'createApiKey',
    tag: 'API keys',
    summary: 'Create an API key; it is shown this once',
    description: 'A resource that `privileges` leaves out is closed to the key. `write` includes `read`.',
    body: createKeyBody,
    replies: { 201: createdKeyReply, ...accountPostErrors, 403: errorBody },
    refusals: ['not_found', 'application_deleted'],
    examples: {
      body: {
        name: 'Back office',
        privileges: { sessions: 'read' },
        allowed_addresses: ['203.0.113.7', '10.0.0.0/8'],
      },
      replies: {
        201: { ...KEY, api_key: 'hnd_sandbox_0f3mX8QeYb2LkW7T_2wZ0c4Qv6n8r1Ykq3Tb5Xj7Lm9Pd0Fh2Ga4Se6Ui8Ao0000aB9' },
      },
    },
  },
  read: {
    operationId: 'readApiKey',
    tag: 'API keys',
    summary: 'Read an API key, without its text',
    description: 'Its text is shown once, when it is made; make another when it is lost.',
    params,
    replies: { 200: keyReply, ...accountIdErrors },
    refusals: ['not_found'],
    examples: { replies: { 200: KEY } },
  },
  change: {
    operationId: 'changeApiKey',
    tag: 'API keys',
    summary: 'Change an API key that is not revoked; it counts within a second',
    description: 'Members that are left out stay; `privileges` is replaced as a whole.',
    params,
    body: changeKeyBody,
    replies: { 200: keyReply, ...accountBodyErrors, 403: errorBody },
    refusals: ['not_found', 'application_deleted'],
    examples: { body: { name: 'Back office' }, replies: { 200: KEY } },
  },
  revoke: {
    operationId: 'revokeApiKey',
    tag: 'API keys',
    summary: 'Revoke an API key for good; it stops working within a second',
    description: 'It stays in the list, with the time of its end.',
    params,
    replies: { 204: null, ...accountIdErrors },
    refusals: ['not_found'],
  },
} satisfies Record<string, RouteContract>;
