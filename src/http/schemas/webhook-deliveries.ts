import { z } from 'zod';
import { EVENT_TYPES } from '../../domain/events.ts';
import type { RetryHint } from '../../webhooks/reply-policy.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { errorBody, idErrors, postErrors } from './errors.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME, examplePage } from './examples.ts';
import { day, oneOf, time } from './fields.ts';
import { pageReply } from './pages.ts';

const STATUSES = ['pending', 'delivered', 'failed', 'unknown'] as const;

/** Query of `GET /v3/webhook/destinations/{uuid}/deliveries/`: days in UTC, both of them included. */
export const deliveriesQuery = z.object({
  ...pageQuery,
  date_from: day.optional().meta({ description: 'Attempts on this day or later: `YYYY-MM-DD`, in UTC.' }),
  date_to: day.optional().meta({ description: 'Attempts on this day or earlier: `YYYY-MM-DD`, in UTC.' }),
  status: oneOf(STATUSES).optional().meta({ description: 'Attempts that stand like this.' }),
  webhook_type: oneOf(EVENT_TYPES).optional().meta({ description: 'Attempts to send events of this type.' }),
});

/** Query of `GET /v3/session/{session_id}/webhooks/`. */
export const sessionWebhooksQuery = z.object(pageQuery);

/** Body of `POST …/resend/`: it says nothing. */
export const resendBody = z.object({});

const HINTS = ['update_url', 'check_configuration', 'slow_down'] as const satisfies readonly RetryHint[];

const attempt = z.strictObject({
  uuid: z.string(),
  session_id: z.string().nullable(),
  request_url: z.string(),
  response_status: z.int().nullable(),
  response_time_ms: z.int().nullable(),
  status: z.enum(STATUSES),
  webhook_type: z.enum(EVENT_TYPES),
  event_id: z.string(),
  attempt: z.int().meta({
    description:
      '1 for the first attempt to send this event to this destination; a later one, by hand or not, has a greater number.',
  }),
  trigger: z
    .enum(['auto', 'replay', 'manual'])
    .meta({ description: 'The schedule, the schedule begun anew by its owner, or one send by hand beside it.' }),
  reason: z.string().nullable().meta({
    description: 'A stable code, such as `http_500`, `redirect` or `timeout`; null until the attempt ended.',
  }),
  created_at: time,
});

/** One attempt at a destination. */
export const attemptReply = attempt.meta({
  id: 'WebhookDelivery',
  description: 'One attempt to send one event to one destination: what Didit’s routes call a delivery.',
});

/** One attempt with what was sent. */
export const attemptDetailReply = attempt
  .extend({
    hint: z.enum(HINTS).nullable().meta({ description: 'What its owner should do about it.' }),
    response_body: z
      .string()
      .nullable()
      .meta({ description: 'The first 4 KiB of the reply; never of one to a share token.' }),
    body_truncated: z
      .boolean()
      .nullable()
      .meta({ description: 'Whether the reply was longer, or was cut off; null without a reply.' }),
    location_host: z.string().nullable().meta({
      description: 'The host that a redirect pointed to; none is followed. Never of a reply to a share token.',
    }),
    request_header: z.string().nullable(),
    request_body: z.string().nullable(),
  })
  .meta({
    id: 'WebhookDeliveryDetail',
    description:
      'An attempt with what was sent and what came back. Its headers and body are JSON in a string each, and null as long ' +
      'as nothing was sent. A share token and links to files are never shown: the body has null in their place.',
  });

/** Members of an attempt's detail that its row in a list lacks. */
export const detailExample = {
  hint: null,
  response_body: '',
  body_truncated: false,
  location_host: null,
  request_header: '{"content-type":"application/json","x-timestamp":"1795425300"}',
  request_body: `{"event_id":"${EXAMPLE_IDS.event}","webhook_type":"status.updated"}`,
};

const item = {
  uuid: EXAMPLE_IDS.delivery,
  session_id: EXAMPLE_IDS.session,
  request_url: 'https://partner.example/webhooks/handoff',
  response_status: 204,
  response_time_ms: 87,
  status: 'delivered',
  webhook_type: 'status.updated',
  event_id: EXAMPLE_IDS.event,
  attempt: 1,
  trigger: 'auto',
  reason: 'http_204',
  created_at: EXAMPLE_TIME,
};

export const deliveryContracts = {
  list: {
    operationId: 'listWebhookDeliveries',
    tag: 'Webhooks',
    summary: 'List what was sent to a destination, newest first',
    description: 'Every attempt is a row of its own: the first, each retry, and each resend.',
    query: deliveriesQuery,
    replies: { 200: pageReply(attemptReply), ...idErrors, 400: errorBody },
    refusals: ['destination_not_found'],
    examples: { replies: { 200: examplePage(item) } },
  },
  read: {
    operationId: 'readWebhookDelivery',
    tag: 'Webhooks',
    summary: 'Read one attempt with the headers and the body that were sent',
    replies: { 200: attemptDetailReply, ...idErrors },
    refusals: ['delivery_not_found'],
    examples: {
      replies: {
        200: { ...item, ...detailExample },
      },
    },
  },
  resend: {
    operationId: 'resendWebhookDelivery',
    tag: 'Webhooks',
    summary: 'Send the same event again',
    description:
      'Sends the stored payload once more to the URL of that attempt, with the same `event_id`, stamped anew and signed ' +
      'with the secret that the destination has now; a disabled destination gets it too. The answer is the new attempt, ' +
      'still `pending`: it leaves within moments, once, beside the schedule of retries. Read it to see what came of it. ' +
      'A `share.received` with its token is sent again only while the token can be used.',
    body: resendBody,
    replies: { 201: attemptReply, ...postErrors },
    refusals: ['delivery_not_found', 'delivery_content_deleted', 'delivery_token_ended'],
    examples: {
      body: {},
      replies: {
        201: {
          ...item,
          response_status: null,
          response_time_ms: null,
          status: 'pending',
          attempt: 2,
          trigger: 'manual',
          reason: null,
        },
      },
    },
  },
  listOfSession: {
    operationId: 'listSessionWebhooks',
    tag: 'Webhooks',
    summary: 'List what was sent about a session, newest first',
    description: 'To whichever of your destinations; every attempt is a row of its own.',
    query: sessionWebhooksQuery,
    replies: { 200: pageReply(attemptReply), ...idErrors, 400: errorBody },
    refusals: ['session_not_found'],
    examples: { replies: { 200: examplePage(item) } },
  },
  resendOfSession: {
    operationId: 'resendSessionWebhook',
    tag: 'Webhooks',
    summary: 'Send an event of a session again, and wait for what comes of it',
    description:
      'As `…/deliveries/{delivery_uuid}/resend/` does, by the same `uuid` of an attempt. The answer comes when the new attempt ' +
      'has ended, or after 5 seconds: 200 with the attempt as it then stands, also when your endpoint answered with an error.',
    body: resendBody,
    replies: { 200: attemptReply, ...postErrors },
    refusals: ['delivery_not_found', 'delivery_content_deleted', 'delivery_token_ended'],
    examples: { body: {}, replies: { 200: { ...item, attempt: 2, trigger: 'manual' } } },
  },
} satisfies Record<string, RouteContract>;
