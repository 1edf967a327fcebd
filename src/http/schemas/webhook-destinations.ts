import { z } from 'zod';
import { EVENT_TYPES, isSubscribable, SUBSCRIBABLE_EVENTS, type SubscribableEvent } from '../../domain/events.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, bodyErrors, idErrors, postErrors } from './errors.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME } from './examples.ts';
import { bool, oneOf, text, time } from './fields.ts';

const url = text(2048).meta({
  format: 'uri',
  description: 'Kept, and answered, as the URL standard writes it: `https://A.example` is `https://a.example/`.',
});
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
  payload_mode: oneOf(['full', 'thin']).optional().meta({
    description: '`thin` leaves `decision`, `changes` and `metadata` out of every body; `full` by default, as Didit.',
  }),
});

/** Body of `PATCH /v3/webhook/destinations/{uuid}/`. */
export const changeDestinationBody = createDestinationBody.partial().extend({
  didit_headers_signed_with: oneOf(['previous', 'current']).optional().meta({
    description:
      'Which secret signs Didit’s headers, which hold one value, while two are live: `current` once the receiver has it.',
  }),
});

const destination = z.strictObject({
  uuid: z.string(),
  label: z.string(),
  url: z.string(),
  enabled: z.boolean(),
  webhook_version: z.literal('v3'),
  payload_mode: z.enum(['full', 'thin']),
  didit_headers_signed_with: z.enum(['previous', 'current']).meta({
    description:
      'Which secret signs Didit’s headers, which hold one value, while a rotation’s grace lasts (`previous_secret_expires_at`). ' +
      'With one live secret it is that one, whatever stands here.',
  }),
  subscribed_events: z.array(z.enum(SUBSCRIBABLE_EVENTS)),
  status: z.enum(['active', 'failing', 'disabled', 'blocked']).meta({
    description:
      '`failing`: nothing has got through since `failing_since`. `blocked`: disabled, since nothing is sent to such an address.',
  }),
  disabled_reason: z
    .enum(['owner', 'gone', 'receiver', 'failing', 'blocked'])
    .nullable()
    .meta({
      description:
        'Your own wish, or why it was switched off: it answered 410 (`gone`), its answer asked for it (`receiver`), nothing got ' +
        'through for five days (`failing`), or its address is refused (`blocked`).',
    }),
  disabled_at: time.nullable(),
  failing_since: time.nullable(),
  paused_until: time.nullable().meta({
    description:
      'No schedule goes on before this time: too much failed, or the receiver asked for time. `recover` ends this rest at ' +
      'once. Null when there is none.',
  }),
  held_deliveries_count: z.int().meta({ description: 'Deliveries that wait until it is enabled again.' }),
  previous_secret_expires_at: time
    .nullable()
    .meta({ description: 'Until when a second secret signs, after a rotation.' }),
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
    ping: z
      .strictObject({
        status: z.enum(['pending', 'delivered', 'failed', 'unknown']),
        response_status: z.int().nullable(),
        reason: z.string().nullable(),
        attempted_at: time.nullable(),
      })
      .nullable()
      .meta({ description: 'What came of the last `webhook.ping`.' }),
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

/** A secret in both forms, shown this once (contract row 26); null in a replay, which says so. */
export const secretMembers = {
  secret_shared_key: z.string().nullable(),
  secret_standard_webhooks: z.string().nullable(),
  secret_replayed: z.literal(true).optional(),
};

/** A secret in both forms, as the examples have it. */
export const EXAMPLE_SECRET = {
  secret_shared_key: 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE',
  secret_standard_webhooks: 'whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=',
};

/** A created destination with its secret. */
export const createdDestinationReply = destinationReply.extend(secretMembers);

const example = {
  uuid: EXAMPLE_IDS.destination,
  label: 'Production',
  url: 'https://partner.example/webhooks/handoff',
  enabled: true,
  webhook_version: 'v3',
  payload_mode: 'full',
  didit_headers_signed_with: 'previous',
  subscribed_events: ['status.updated', 'share.received'],
  status: 'active',
  disabled_reason: null,
  disabled_at: null,
  failing_since: null,
  paused_until: null,
  held_deliveries_count: 0,
  previous_secret_expires_at: null,
  created_at: EXAMPLE_TIME,
  updated_at: EXAMPLE_TIME,
};
const pending = { status: 'pending', response_status: null, reason: null, attempted_at: null };
const ping = { status: 'delivered', response_status: 204, reason: 'http_204', attempted_at: EXAMPLE_TIME };
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
      `event of Didit’s can be named; sent are ${EVENT_TYPES.map((name) => `\`${name}\``).join(', ')}. ` +
      'An enabled destination is sent a signed `webhook.ping` at once, whatever it subscribes to; read the destination to ' +
      'see what came of it.',
    body: createDestinationBody,
    replies: { 201: createdDestinationReply, ...postErrors },
    examples: {
      body: { url: example.url, subscribed_events: example.subscribed_events, label: example.label },
      replies: {
        201: { ...example, ping: pending, summary, ...EXAMPLE_SECRET },
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
    examples: { replies: { 200: { ...example, ping, summary } } },
  },
  change: {
    operationId: 'changeWebhookDestination',
    tag: 'Webhooks',
    summary: 'Change a webhook destination',
    description:
      'Members that are left out stay; `subscribed_events` is replaced as a whole. The secret stays. While a destination is ' +
      'disabled its deliveries are held, and enabling it sends them, each with its schedule begun anew. Not `share.received`: while none ' +
      'of your destinations is enabled for it, whatever is shared with you is lost, so answer 503 during maintenance instead. A ' +
      'new URL does not enable it.',
    body: changeDestinationBody,
    replies: { 200: destinationReply, ...bodyErrors },
    refusals: ['destination_not_found'],
    examples: {
      body: { enabled: false, label: 'Old receiver' },
      replies: {
        200: {
          ...example,
          enabled: false,
          label: 'Old receiver',
          status: 'disabled',
          disabled_reason: 'owner',
          disabled_at: EXAMPLE_TIME,
          ping,
          summary,
        },
      },
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
