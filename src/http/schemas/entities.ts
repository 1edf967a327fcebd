import { z } from 'zod';
import { ENTITY_STATUSES } from '../../domain/entity.ts';
import { pageQuery } from '../paging.ts';
import type { Tag } from '../openapi/tags.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, bodyErrors, errorBody, idErrors, postErrors } from './errors.ts';
import { anyText, bool, day, jsonObject, text, time, uuid } from './fields.ts';
import { pageReply } from './pages.ts';

const MAX_LIST = 100;

function listOf<Item extends z.ZodType>(item: Item, most: number) {
  return z.array(item, 'Must be a list.').max(most, `Ensure this list has no more than ${most} items.`);
}

/** Didit has one sentence for a status that is wrong where it is the matter, and another one among other fields. */
const status = (wrong: (input: unknown) => string) =>
  z.enum(ENTITY_STATUSES, {
    error: ({ input }) => (input === undefined ? 'This field is required.' : wrong(input)),
  });
const ownStatus = status(() => `Invalid status. Valid options are: ${ENTITY_STATUSES.join(', ')}`);
const statusChoice = status((input) =>
  typeof input === 'string' ? `"${input.slice(0, 50)}" is not a valid choice.` : 'Not a valid string.',
);

const metadata = jsonObject('Metadata must be a JSON object.');
const optionalText = (most: number) => text(most).nullable().optional();

const userProfile = {
  full_name: optionalText(512),
  display_name: optionalText(255),
  date_of_birth: day.nullable().optional(),
  approved_emails: listOf(text(254).regex(/^[^\s@]+@[^\s@]+$/, 'Enter a valid email address.'), MAX_LIST).optional(),
  approved_phones: listOf(text(32), MAX_LIST).optional(),
  issuing_states: listOf(text(10), MAX_LIST).optional(),
};
const businessProfile = {
  display_name: optionalText(255),
  legal_name: optionalText(255),
  registration_number: optionalText(100),
  country_code: optionalText(10),
};

/** Body of `POST /v3/users/create/`. */
export const createUserBody = z.object({
  vendor_data: text(512),
  ...userProfile,
  status: ownStatus.optional(),
  metadata: metadata.optional(),
});

/** Body of `POST /v3/businesses/create/`. */
export const createBusinessBody = z.object({
  vendor_data: text(512).nullable().optional(),
  ...businessProfile,
  status: ownStatus.optional(),
  metadata: metadata.optional(),
});

/** Body of `PATCH /v3/users/{vendor_data}/`. */
export const changeUserBody = z.object({
  ...userProfile,
  status: statusChoice.optional(),
  metadata: metadata.optional(),
});

/** Body of `PATCH /v3/businesses/{vendor_data}/`. */
export const changeBusinessBody = z.object({
  ...businessProfile,
  status: statusChoice.optional(),
  metadata: metadata.optional(),
});

/** Body of `PATCH …/{vendor_data}/update-status/`. */
export const updateStatusBody = z.object({ status: ownStatus });

/** Body of `POST /v3/users/delete/` and `POST /v3/businesses/delete/`. As many as a body holds. */
export const deleteEntitiesBody = z.object({
  vendor_data_list: z.array(anyText, 'Must be a list.').optional(),
  didit_internal_id_list: z.array(uuid, 'Must be a list.').optional(),
  delete_all: bool.optional(),
});

/** Query of both lists. */
export const entitiesQuery = z.object(pageQuery);

const entityStatus = z.enum(ENTITY_STATUSES);
const head = {
  didit_internal_id: z.string(),
  vendor_data: z.string().nullable(),
  display_name: z.string().nullable(),
};
const counted = {
  /** `display_name`, else the full or legal name. */
  effective_name: z.string().nullable(),
  status: entityStatus,
  session_count: z.int(),
  approved_count: z.int(),
  declined_count: z.int(),
  in_review_count: z.int(),
  features: z.record(z.string(), z.string()),
  features_list: z.array(z.strictObject({ feature: z.string(), status: z.string() })),
  last_session_at: time.nullable(),
  first_session_at: time.nullable(),
  last_activity_at: time.nullable(),
  tags: z.array(z.never()),
  created_at: time,
};

/** One row of `GET /v3/users/`. */
export const userItem = z
  .strictObject({
    ...head,
    full_name: z.string().nullable(),
    date_of_birth: z.string().nullable(),
    portrait_image_url: z.string().nullable(),
    issuing_states: z.array(z.string()),
    approved_emails: z.array(z.string()),
    approved_phones: z.array(z.string()),
    ...counted,
  })
  .meta({ id: 'UserRow' });

/** One row of `GET /v3/businesses/`. */
export const businessItem = z
  .strictObject({
    ...head,
    legal_name: z.string().nullable(),
    registration_number: z.string().nullable(),
    country_code: z.string().nullable(),
    ...counted,
  })
  .meta({ id: 'BusinessRow' });

const comment = z.strictObject({
  uuid: z.string(),
  comment_type: z.enum(['STATUS_CHANGED', 'METADATA_UPDATED', 'PROFILE_UPDATED']),
  comment: z.null(),
  actor_email: z.null(),
  actor_name: z.string(),
  previous_status: entityStatus.nullable(),
  new_status: entityStatus.nullable(),
  previous_value: z.unknown(),
  new_value: z.unknown(),
  changed_fields: z.array(z.string()),
  metadata: z.null(),
  mentioned_emails: z.array(z.never()),
  created_at: time,
});

const detail = { metadata: z.record(z.string(), z.unknown()), updated_at: time };

/** One user; the newest 100 comments. */
export const userReply = userItem.extend({ ...detail, comments: z.array(comment) }).meta({ id: 'User' });

/** One business. */
export const businessReply = businessItem.extend(detail).meta({ id: 'Business' });

export const deletedEntitiesReply = z.strictObject({ deleted: z.int().nonnegative() });

/** The parameter of a path that names an entity. */
const params = { vendor_data: z.string() };

const at = '2026-11-23T10:00:00.000000Z';
const anyExample = {
  didit_internal_id: '0198c0de-0000-7000-8000-000000000002',
  display_name: null,
  status: 'ACTIVE' as const,
  session_count: 1,
  approved_count: 1,
  declined_count: 0,
  in_review_count: 0,
  last_session_at: at,
  first_session_at: at,
  last_activity_at: at,
  tags: [],
  created_at: at,
};
const userExample: z.output<typeof userItem> = {
  ...anyExample,
  vendor_data: 'customer-42',
  full_name: 'Ada Example',
  date_of_birth: '1990-05-17',
  portrait_image_url: null,
  issuing_states: ['ESP'],
  approved_emails: ['ada@customer.example'],
  approved_phones: [],
  effective_name: 'Ada Example',
  features: { ID_VERIFICATION: 'Approved' },
  features_list: [{ feature: 'ID_VERIFICATION', status: 'Approved' }],
};
const businessExample: z.output<typeof businessItem> = {
  ...anyExample,
  vendor_data: 'company-7',
  legal_name: 'Example Trading Ltd',
  registration_number: '01234567',
  country_code: 'GB',
  effective_name: 'Example Trading Ltd',
  features: { KYB: 'Approved' },
  features_list: [{ feature: 'KYB', status: 'Approved' }],
};

const BLOCKED =
  'A `BLOCKED` one is refused new verification sessions (400), imports of shared sessions and acknowledgements of them (403 `entity_blocked`), until it is unblocked.';
const VERIFIED =
  'What the profile does not say itself is shown as the newest finished session says it, the newest approved one if there is any.';
const NAMED = '`vendor_data` stands in the path percent-encoded, whatever characters it has.';

/** The contracts of one kind's routes: the two differ in names, bodies and shapes only. */
function contractsOf<Item extends z.ZodType>(kind: {
  readonly many: string;
  readonly one: string;
  readonly tag: Tag;
  readonly suffix: readonly [one: string, many: string];
  readonly bodies: { readonly create: z.ZodType; readonly change: z.ZodType };
  readonly item: Item;
  readonly reply: z.ZodType;
  readonly examples: {
    readonly create: unknown;
    readonly change: unknown;
    readonly item: unknown;
    readonly reply: unknown;
  };
  readonly unnamed: string;
}) {
  const { many, one, tag, suffix, bodies, item, reply, examples } = kind;
  const [One, Many] = suffix;
  return {
    list: {
      operationId: `list${Many}`,
      tag,
      summary: `List ${many}, the one with the newest session first`,
      description: VERIFIED,
      query: entitiesQuery,
      replies: { 200: pageReply(item), ...anyRouteErrors, 400: errorBody },
      examples: { replies: { 200: { count: 1, next: null, previous: null, results: [examples.item] } } },
    },
    create: {
      operationId: `create${One}`,
      tag,
      summary: `Create a ${one}`,
      description: `Sessions and imports with its \`vendor_data\` belong to it, earlier ones too. ${kind.unnamed}`,
      body: bodies.create,
      replies: { 201: reply, ...postErrors },
      examples: { body: examples.create, replies: { 201: examples.reply } },
    },
    read: {
      operationId: `read${One}`,
      tag,
      summary: `Read a ${one}`,
      description: `${VERIFIED} ${NAMED}`,
      params,
      replies: { 200: reply, ...idErrors },
      refusals: ['not_found'],
      examples: { replies: { 200: examples.reply } },
    },
    change: {
      operationId: `change${One}`,
      tag,
      summary: `Change a ${one}`,
      description: `Lists and \`metadata\` are replaced as a whole. Your destinations are told (\`${one}.data.updated\`, \`${one}.status.updated\`). ${BLOCKED} ${NAMED}`,
      params,
      body: bodies.change,
      replies: { 200: reply, ...bodyErrors },
      refusals: ['not_found'],
      examples: { body: examples.change, replies: { 200: examples.reply } },
    },
    updateStatus: {
      operationId: `update${One}Status`,
      tag,
      summary: `Flag, block or unblock a ${one}`,
      description: `Your destinations are told (\`${one}.status.updated\`). ${BLOCKED} ${NAMED}`,
      params,
      body: updateStatusBody,
      replies: { 200: reply, ...bodyErrors },
      refusals: ['not_found'],
      examples: { body: { status: 'ACTIVE' }, replies: { 200: examples.reply } },
    },
    delete: {
      operationId: `delete${Many}`,
      tag,
      summary: `Delete ${many}`,
      description:
        'The first of `delete_all`, `vendor_data_list` and `didit_internal_id_list` that is given decides; names that are unknown are skipped. Sessions are records of their own and stay: a new session or import makes the entity again, unblocked.',
      body: deleteEntitiesBody,
      replies: { 200: deletedEntitiesReply, ...postErrors },
      examples: { body: { vendor_data_list: ['customer-42', 'company-7'] }, replies: { 200: { deleted: 1 } } },
    },
  } satisfies Record<string, RouteContract>;
}

export const userContracts = contractsOf({
  many: 'users',
  one: 'user',
  tag: 'Users',
  suffix: ['User', 'Users'],
  bodies: { create: createUserBody, change: changeUserBody },
  item: userItem,
  reply: userReply,
  unnamed: '',
  examples: {
    create: { vendor_data: 'customer-42', full_name: 'Ada Example', date_of_birth: '1990-05-17' },
    change: { display_name: 'Ada', metadata: { tier: 'gold' } },
    item: userExample,
    reply: { ...userExample, metadata: {}, comments: [], updated_at: at },
  },
});

export const businessContracts = contractsOf({
  many: 'businesses',
  one: 'business',
  tag: 'Businesses',
  suffix: ['Business', 'Businesses'],
  bodies: { create: createBusinessBody, change: changeBusinessBody },
  item: businessItem,
  reply: businessReply,
  unnamed:
    'One without `vendor_data` goes by its `didit_internal_id` in paths, unless that is the `vendor_data` of another one.',
  examples: {
    create: { vendor_data: 'company-7', legal_name: 'Example Trading Ltd', country_code: 'GB' },
    change: { registration_number: '01234567' },
    item: businessExample,
    reply: { ...businessExample, metadata: {}, updated_at: at },
  },
});
