import { z } from 'zod';
import { ACTIVITY_TYPES, ACTOR_TYPES } from '../../domain/reviews.ts';
import { NEVER_RESUBMITTED, RESUBMIT_FEATURES } from '../../domain/resubmission.ts';
import { parseStatus, SESSION_STATUSES } from '../../domain/session-status.ts';
import { GIVEN_STATUSES } from '../../sharing/change-status.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { bodyErrors, errorBody, idErrors, postErrors } from './errors.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME, examplePage } from './examples.ts';
import { bool, oneOf, text, time } from './fields.ts';
import { LANGUAGES } from './languages.ts';
import { pageReply } from './pages.ts';

const MAX_COMMENT_CHARACTERS = 5000;

const comment = z
  .string('Not a valid string.')
  .max(MAX_COMMENT_CHARACTERS, `Ensure this field has no more than ${MAX_COMMENT_CHARACTERS} characters.`)
  .nullable()
  .optional()
  .transform((words) => (words === undefined || words === '' ? null : words));

/** A session's status in either spelling (contract row 7). */
const status = z
  .string({ error: ({ input }) => (input === undefined ? 'This field is required.' : 'Not a valid string.') })
  .transform((word, context) => {
    const known = parseStatus(word);
    if (known !== null) return known;
    context.addIssue({ code: 'custom', message: `"${word.slice(0, 50)}" is not a valid choice.` });
    return z.NEVER;
  });

const givenStatus = status.transform((word, context) => {
  const given = GIVEN_STATUSES.find((one) => one === word);
  if (given !== undefined) return given;
  context.addIssue({
    code: 'custom',
    message: "You can only update the status to 'Approved', 'Declined', or 'Resubmitted'.",
  });
  return z.NEVER;
});

const nodesToResubmit = z
  .array(
    z.object(
      {
        node_id: text(255),
        feature: z.enum(RESUBMIT_FEATURES, {
          error: ({ input }) =>
            input === undefined
              ? 'This field is required.'
              : `Not a valid choice. Valid choices are: ${RESUBMIT_FEATURES.join(', ')}.`,
        }),
      },
      'Must be an object with node_id and feature.',
    ),
    'Must be a list of steps.',
  )
  .max(50, 'Ensure this list has no more than 50 items.')
  .superRefine((nodes, context) => {
    const never = [...new Set(nodes.map(({ feature }) => feature).filter((one) => NEVER_RESUBMITTED.has(one)))];
    if (never.length === 0) return;
    context.addIssue({
      code: 'custom',
      message: `The following features cannot be resubmitted directly: ${never.join(', ')}. Name the steps inside them.`,
    });
  });

/** Body of `PATCH /v3/session/{id}/update-status/`. */
export const updateStatusBody = z
  .object({
    new_status: givenStatus,
    comment,
    nodes_to_resubmit: nodesToResubmit.nullable().optional(),
    send_email: bool.optional(),
    email_address: z
      .email('Enter a valid email address.')
      .max(254, 'Enter a valid email address.')
      .nullable()
      .optional(),
    email_language: oneOf(LANGUAGES).nullable().optional(),
  })
  .refine(({ send_email, email_address }) => send_email !== true || typeof email_address === 'string', {
    error: 'Email address is required when send_email is true.',
    path: ['email_address'],
    when: () => true,
  });

/** Body of `POST /v3/sessions/{id}/reviews/`. */
export const addReviewBody = z.object({ new_status: status.nullable().optional(), comment });

/** Query of `GET /v3/sessions/{id}/reviews/`. */
export const reviewsQuery = z.object({
  ...pageQuery,
  // Didit ignores an order that it does not know.
  ordering: z
    .unknown()
    .optional()
    .meta({ description: '`created_at` for the oldest first; anything else is the newest first.' }),
});

export const reviewReply = z.strictObject({
  user: z.string(),
  new_status: z.string().nullable(),
  comment: z.string().nullable(),
  created_at: time,
});

export const reviewListItem = z.strictObject({
  uuid: z.string(),
  activity_type: z.enum(ACTIVITY_TYPES),
  actor_display: z.string(),
  actor_email: z.string().nullable(),
  actor_type: z.enum(ACTOR_TYPES),
  new_status: z.string().nullable(),
  previous_status: z.string().nullable(),
  comment: z.string().nullable(),
  mentioned_emails: z.array(z.string()),
  previous_value: z.string().nullable(),
  new_value: z.string().nullable(),
  changed_fields: z.array(z.string()),
  metadata: z.unknown(),
  created_at: time,
});

export const reviewContracts = {
  updateStatus: {
    operationId: 'updateSessionStatus',
    tag: 'Sessions',
    summary: 'Approve, decline or hand back a session by hand',
    description:
      `Possible from Approved, Declined, In Review, Kyc Expired, Abandoned and Resubmitted. It adds a review and sends ` +
      '`status.updated`. `Resubmitted` takes the steps in `nodes_to_resubmit`, each one that the session has, else those that ' +
      'did not pass; a resubmitted ' +
      'session can neither be shared nor imported. `send_email` and its fields are checked, and no mail is sent.',
    body: updateStatusBody,
    replies: { 200: z.strictObject({ session_id: z.string() }), ...bodyErrors },
    refusals: ['session_not_found', 'session_not_updatable'],
    examples: {
      body: { new_status: 'Approved', comment: 'Checked by hand.' },
      replies: { 200: { session_id: EXAMPLE_IDS.session } },
    },
  },
  list: {
    operationId: 'listSessionReviews',
    tag: 'Sessions',
    summary: 'List the reviews of a session, the newest first',
    description:
      'Of both kinds of session. `ordering=created_at` gives the oldest first. Reviews are in the order in which they came.',
    query: reviewsQuery,
    replies: { 200: pageReply(reviewListItem), ...idErrors, 400: errorBody },
    refusals: ['session_not_found'],
    examples: {
      replies: {
        200: examplePage({
          uuid: '0199a3c4-1111-7aaa-8bbb-0123456789ac',
          activity_type: 'STATUS_UPDATED',
          actor_display: 'API Client',
          actor_email: null,
          actor_type: 'API_KEY',
          new_status: 'Approved',
          previous_status: 'In Review',
          comment: 'Checked by hand.',
          mentioned_emails: [],
          previous_value: null,
          new_value: null,
          changed_fields: [],
          metadata: null,
          created_at: EXAMPLE_TIME,
        }),
      },
    },
  },
  add: {
    operationId: 'addSessionReview',
    tag: 'Sessions',
    summary: 'Add a review to a session',
    description:
      `A comment and a label, one of ${SESSION_STATUSES.join(', ')}: neither changes the session, and nobody is told. ` +
      'It shows in the decision, and goes along with an import, without its author.',
    body: addReviewBody,
    replies: { 201: reviewReply, ...postErrors },
    refusals: ['session_not_found'],
    examples: {
      body: { new_status: 'In Review', comment: 'Second look asked for.' },
      replies: {
        201: {
          user: 'Unknown',
          new_status: 'In Review',
          comment: 'Second look asked for.',
          created_at: EXAMPLE_TIME,
        },
      },
    },
  },
} satisfies Record<string, RouteContract>;
