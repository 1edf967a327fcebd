import { z } from 'zod';
import { EVENT_TYPES, isSubscribable, SUBSCRIBABLE_EVENTS, type SubscribableEvent } from '../../domain/events.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, bodyErrors, idErrors, postErrors } from './errors.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME } from './examples.ts';
import { bool, oneOf, text, time } from './fields.ts';

const url = text(2048).meta({ format: 'uri' });
const label = text(255);
const version = oneOf(['v1', 'v2', 'v3']);
const subscribedEvents = z
  .array(z.string('Not a valid string.').meta({ enum: [...SUBSCRIBABLE_EVENTS] }), {
    error: ({ input }) => (input === undefined ? 'This field is required.' : 'Must be a list of event names.'),
  })
  .min(1, 'At least one subscribed event is required.')
  .max(100, 'Ensure this list has no more than 100 names.')
  .transform((names, context): SubscribableEvent[] => {
    const unknown = names.filter((name) => !isSubscribable(name));
    if (unknown.length > 0) {
      const shown = unknown.slice(0, 5).map((name) => name.slice(0, 50));
      context.addIssue({
        code: 'custom',
        message: `Unsupported webhook events: ${shown.join(', ')}. Known are ${SUBSCRIBABLE_EVENTS.join(', ')}.`,
      });
    }
    return [...new Set(names.filter(isSubscribable))];
  });

/** Body of `POST /v3/webhook/destinations/`. */
export const createDestinationBody = z.object({
  url,
  subscribed_events: subscribedEvents,
  label: label.optional(),
  enabled: bool.optional(),
  webhook_version: version.optional(),
});

/** Body of `PATCH /v3/webhook/destinations/{uuid}/`. */
export const changeDestinationBody = createDestinationBody.partial();

const destination = z.strictObject({
  uuid: z.string(),
  label: z.string(),
  url: z.string(),
  enabled: z.boolean(),
  webhook_version: z.literal('v3'),
  subscribed_events: z.array(z.enum(SUBSCRIBABLE_EVENTS)),
  created_at: time,
  updated_at: time,
});

/** One row of `GET /v3/webhook/destinations/`. */
export const destinationItem = destination
  .extend({
    subscribed_events_count: z.int(),
    deliveries_count: z.int(),
    failed_deliveries_count: z.int(),
    average_response_time_ms: z.number().nullable(),
    error_rate_percentage: z.int(),
    last_delivery_at: time.nullable(),
  })
  .meta({ id: 'WebhookDestinationRow' });

/** One destination, without its secret. */
export const destinationReply = destination
  .extend({
    summary: z.strictObject({
      total_deliveries: z.int(),
      failed_deliveries: z.int(),
      error_rate_percentage: z.int(),
      min_response_time_ms: z.number().nullable(),
      avg_response_time_ms: z.number().nullable(),
      max_response_time_ms: z.number().nullable(),
      last_delivery_at: time.nullable(),
    }),
  })
  .meta({ id: 'WebhookDestination' });

/** A created destination: its secret in both forms, this once (contract row 26); null in a replay, which says so. */
export const createdDestinationReply = destinationReply.extend({
  secret_shared_key: z.string().nullable(),
  secret_standard_webhooks: z.string().nullable(),
  secret_replayed: z.literal(true).optional(),
});

const example = {
  uuid: EXAMPLE_IDS.destination,
  label: 'Production',
  url: 'https://partner.example/webhooks/handoff',
  enabled: true,
  webhook_version: 'v3',
  subscribed_events: ['status.updated', 'share.received'],
  created_at: EXAMPLE_TIME,
  updated_at: EXAMPLE_TIME,
};
const summary = {
  total_deliveries: 0,
  failed_deliveries: 0,
  error_rate_percentage: 0,
  min_response_time_ms: null,
  avg_response_time_ms: null,
  max_response_time_ms: null,
  last_delivery_at: null,
};

export const destinationContracts = {
  create: {
    operationId: 'createWebhookDestination',
    tag: 'Webhooks',
    summary: 'Create a webhook destination; its secret is shown this once',
    description:
      'One secret in two forms, for Didit’s signatures and for Standard Webhooks. An application has each URL once. Every ' +
      `event of Didit’s can be named; sent are ${EVENT_TYPES.map((name) => `\`${name}\``).join(', ')}.`,
    body: createDestinationBody,
    replies: { 201: createdDestinationReply, ...postErrors },
    examples: {
      body: { url: example.url, subscribed_events: example.subscribed_events, label: example.label },
      replies: {
        201: {
          ...example,
          summary,
          secret_shared_key: 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE',
          secret_standard_webhooks: 'whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=',
        },
      },
    },
  },
  list: {
    operationId: 'listWebhookDestinations',
    tag: 'Webhooks',
    summary: 'List webhook destinations, oldest first',
    description: 'All of them, as a bare array; the counts are of the last 30 days.',
    replies: { 200: z.array(destinationItem), ...anyRouteErrors },
    examples: {
      replies: {
        200: [
          {
            ...example,
            subscribed_events_count: 2,
            deliveries_count: 0,
            failed_deliveries_count: 0,
            average_response_time_ms: null,
            error_rate_percentage: 0,
            last_delivery_at: null,
          },
        ],
      },
    },
  },
  read: {
    operationId: 'readWebhookDestination',
    tag: 'Webhooks',
    summary: 'Read a webhook destination',
    replies: { 200: destinationReply, ...idErrors },
    refusals: ['destination_not_found'],
    examples: { replies: { 200: { ...example, summary } } },
  },
  change: {
    operationId: 'changeWebhookDestination',
    tag: 'Webhooks',
    summary: 'Change a webhook destination',
    description: 'Members that are left out stay; `subscribed_events` is replaced as a whole. The secret stays.',
    body: changeDestinationBody,
    replies: { 200: destinationReply, ...bodyErrors },
    refusals: ['destination_not_found'],
    examples: {
      body: { enabled: false, label: 'Old receiver' },
      replies: { 200: { ...example, enabled: false, label: 'Old receiver', summary } },
    },
  },
  delete: {
    operationId: 'deleteWebhookDestination',
    tag: 'Webhooks',
    summary: 'Delete a webhook destination',
    description: 'Its secret goes at once, and what was still to be sent to it is not sent.',
    replies: { 204: null, ...idErrors },
    refusals: ['destination_not_found'],
  },
} satisfies Record<string, RouteContract>;
