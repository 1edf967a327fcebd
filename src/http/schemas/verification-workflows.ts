import { z } from 'zod';
import { problemOfOrder, WORKFLOW_FEATURES, type WorkflowFeature } from '../../domain/verification-workflow.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, bodyErrors, errorBody, idErrors, postErrors } from './errors.ts';
import { bool, jsonObject, oneOf, ours, text, time } from './fields.ts';
import { pageReply } from './pages.ts';

const whole = (least: number, most: number) =>
  z
    .int('A valid integer is required.')
    .min(least, `Ensure this value is greater than or equal to ${least}.`)
    .max(most, `Ensure this value is less than or equal to ${most}.`);

const MAX_FEATURES = 100;
const ALLOWED = WORKFLOW_FEATURES.join(', ');

// Didit names the whole list when a member of it is wrong.
const featureName = z.string('This field is required.');

const features = z
  .array(
    ours({
      feature: featureName,
      config: jsonObject('Must be an object.').default({}),
      label: text(255).nullable().default(null),
    }),
    {
      error: ({ input }) => (input === undefined ? 'This field is required.' : 'Must be a list of features.'),
    },
  )
  .min(1, 'At least one feature is required.')
  .max(MAX_FEATURES, `Ensure this list has no more than ${MAX_FEATURES} features.`)
  .transform((steps, context) => {
    const unknown = steps.find(({ feature }) => !isFeature(feature));
    const known = steps.flatMap(({ feature, config, label }) =>
      isFeature(feature) ? [{ feature, config, label }] : [],
    );
    const problem =
      unknown === undefined
        ? problemOfOrder(known.map(({ feature }) => feature))
        : `Invalid feature '${unknown.feature.slice(0, 50)}'. Allowed values: ${ALLOWED}.`;
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
    return known;
  });

const settings = {
  is_white_label_enabled: bool.optional(),
  is_desktop_allowed: bool.optional(),
  max_retry_attempts: whole(0, 10).optional(),
  retry_window_days: whole(1, 365).nullable().optional(),
  face_liveness_max_attempts: whole(1, 3).optional(),
  face_match_max_attempts: whole(1, 3).optional(),
  session_expiration_time: whole(3_600, 2_419_200).optional(),
};

/** Body of `POST /v3/workflows/`: Didit documents that this route takes no other member, so an unknown one is refused. */
export const createWorkflowBody = ours({
  workflow_label: text(50).default('ID Verification'),
  is_default: bool.default(false),
  status: oneOf(['draft', 'published']).default('published'),
  features,
  ...settings,
});

/** Body of `PATCH /v3/workflows/{settings_uuid}/`. */
export const changeWorkflowBody = ours({
  workflow_label: text(50).optional(),
  is_default: bool.optional(),
  status: oneOf(['draft', 'published']).optional(),
  features: features.optional(),
  ...settings,
});

/** Query of `GET /v3/workflows/`. */
export const workflowsQuery = z.object(pageQuery);

/** One row of `GET /v3/workflows/`: a version of a verification workflow. */
export const workflowItem = z
  .strictObject({
    /** Of this version; accepted wherever a `workflow_id` is. */
    uuid: z.string(),
    /** Of the workflow, in all its versions. */
    workflow_id: z.string(),
    workflow_label: z.string(),
    workflow_type: z.enum(['kyc', 'kyb']),
    is_default: z.boolean(),
    is_archived: z.literal(false),
    is_white_label_enabled: z.boolean(),
    total_price: z.literal(0),
    min_price: z.literal(0),
    max_price: z.literal(0),
    /** Joined by " + ". */
    features: z.string(),
    is_simple_workflow: z.literal(true),
    is_editable: z.literal(true),
    workflow_url: z.url(),
    max_retry_attempts: z.int(),
    retry_window_days: z.int().nullable(),
    /** Seconds. */
    session_expiration_time: z.int(),
    version: z.int(),
    status: z.enum(['draft', 'published']),
    has_draft: z.boolean(),
    created_by: z.strictObject({ name: z.string(), email: z.null(), type: z.literal('api_key') }).nullable(),
    updated_at: time,
  })
  .meta({ id: 'VerificationWorkflowRow' });

/** A version with its whole configuration. */
export const workflowReply = workflowItem
  .extend({
    feature_configs: z.array(
      z.strictObject({
        feature: z.enum(WORKFLOW_FEATURES),
        config: z.record(z.string(), z.unknown()),
        label: z.string().nullable(),
      }),
    ),
    is_desktop_allowed: z.boolean(),
    face_liveness_max_attempts: z.int(),
    face_match_max_attempts: z.int(),
    created_at: time,
    published_at: time.nullable(),
  })
  .meta({ id: 'VerificationWorkflow' });

function isFeature(text: string): text is WorkflowFeature {
  return (WORKFLOW_FEATURES as readonly string[]).includes(text);
}

const item: z.output<typeof workflowItem> = {
  uuid: '0198c0de-0000-7000-8000-000000000001',
  workflow_id: '0198c0de-0000-7000-8000-000000000001',
  workflow_label: 'KYC with face match',
  workflow_type: 'kyc',
  is_default: true,
  is_archived: false,
  is_white_label_enabled: false,
  total_price: 0,
  min_price: 0,
  max_price: 0,
  features: 'OCR + LIVENESS + FACE_MATCH',
  is_simple_workflow: true,
  is_editable: true,
  workflow_url: 'https://handoff.example/v3/workflows/0198c0de-0000-7000-8000-000000000001/',
  max_retry_attempts: 3,
  retry_window_days: 7,
  session_expiration_time: 604_800,
  version: 1,
  status: 'published',
  has_draft: false,
  created_by: { name: 'backend', email: null, type: 'api_key' },
  updated_at: '2026-11-23T10:00:00.000000Z',
};
const example: z.output<typeof workflowReply> = {
  ...item,
  feature_configs: [
    { feature: 'OCR', config: {}, label: null },
    { feature: 'LIVENESS', config: {}, label: null },
    { feature: 'FACE_MATCH', config: {}, label: null },
  ],
  is_desktop_allowed: false,
  face_liveness_max_attempts: 3,
  face_match_max_attempts: 3,
  created_at: '2026-11-23T10:00:00.000000Z',
  published_at: '2026-11-23T10:00:00.000000Z',
};

const tag = 'Verification workflows';
const ONE_DEFAULT = 'Each kind has at most one default: a new one takes its place.';

export const workflowContracts = {
  list: {
    operationId: 'listVerificationWorkflows',
    tag,
    summary: 'List the versions of all verification workflows, the newest first',
    query: workflowsQuery,
    replies: { 200: pageReply(workflowItem), ...anyRouteErrors, 400: errorBody },
    examples: { replies: { 200: { count: 1, next: null, previous: null, results: [item] } } },
  },
  create: {
    operationId: 'createVerificationWorkflow',
    tag,
    summary: 'Create a verification workflow',
    description: `A workflow with a \`KYB_…\` feature verifies companies, any other one people. ${ONE_DEFAULT} Unlike on most routes of this API, an unknown member of the body is refused. An application has at most 50 workflows. A draft cannot be used until it is published.`,
    body: createWorkflowBody,
    replies: { 201: workflowReply, ...postErrors },
    examples: {
      body: {
        workflow_label: 'KYC with face match',
        is_default: true,
        features: [{ feature: 'OCR' }, { feature: 'LIVENESS' }, { feature: 'FACE_MATCH' }],
      },
      replies: { 201: example },
    },
  },
  read: {
    operationId: 'readVerificationWorkflow',
    tag,
    summary: 'Read a version of a verification workflow',
    replies: { 200: workflowReply, ...idErrors },
    refusals: ['not_found'],
    examples: { replies: { 200: example } },
  },
  change: {
    operationId: 'changeVerificationWorkflow',
    tag,
    summary: 'Change, publish, or make a new version of a verification workflow',
    description: `Without \`status\` a published version is changed in place, and a draft is published. \`"status": "published"\` on a published version makes the next version, with a uuid of its own; sessions under the workflow's id use it from then on. \`"status": "draft"\` changes a draft and keeps it one. ${ONE_DEFAULT}`,
    body: changeWorkflowBody,
    replies: { 200: workflowReply, ...bodyErrors },
    refusals: ['not_found'],
    examples: { body: { workflow_label: 'KYC, second edition', status: 'published' }, replies: { 200: example } },
  },
  delete: {
    operationId: 'deleteVerificationWorkflow',
    tag,
    summary: 'Delete a version of a verification workflow',
    description:
      'The workflow goes with its last version. Sessions keep its id; connections that named it as their default fall back to the application’s.',
    replies: { 204: null, ...idErrors },
    refusals: ['not_found'],
  },
} satisfies Record<string, RouteContract>;
