import { z } from 'zod';
import { EVENT_TYPES } from '../../domain/events.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { errorBody, idErrors, postErrors } from './errors.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME, examplePage } from './examples.ts';
import { instant, ours, time } from './fields.ts';
import { pageReply } from './pages.ts';
import { attemptDetailReply, detailExample } from './webhook-deliveries.ts';
import { EXAMPLE_SECRET, secretMembers } from './webhook-destinations.ts';

const WEEK_SECONDS = 604_800;

/** Body of `POST …/rotate-secret/`. */
export const rotateBody = ours({
  grace_seconds: z
    .int('A valid integer is required.')
    .min(0, 'Ensure this value is greater than or equal to 0.')
    .max(WEEK_SECONDS, `Ensure this value is less than or equal to ${WEEK_SECONDS}.`)
    .default(86_400)
    .meta({ description: 'How long the previous secret signs beside the new one; 0 ends every earlier one at once.' }),
});

/** Body of the calls that say nothing. */
export const nothingBody = ours({});

const since = instant.meta({ description: 'Events of this moment or later: ISO 8601 with its zone.' });
const until = instant.optional().meta({ description: 'Events of this moment or earlier; now by default.' });

/** Body of `POST …/recover/` and `POST …/replay-missing/`. */
export const spanBody = ours({ since, until });

/** In a query, the plus sign of a zone that is not encoded comes as a space. */
const withPlus = (value: unknown) => (typeof value === 'string' ? value.replace(/ (?=\d\d:\d\d$)/, '+') : value);

/** Query of `GET …/missed/`. */
export const missedQuery = z.object({
  ...pageQuery,
  since: z.preprocess(withPlus, since),
  until: z.preprocess(withPlus, until),
});

const rotated = z.strictObject({
  uuid: z.string(),
  ...secretMembers,
  previous_secret_expires_at: time.nullable(),
  didit_headers_signed_with: z.enum(['previous', 'current']),
});

const shownSecret = { secret_shared_key: z.string(), secret_standard_webhooks: z.string() };
const revealed = z.strictObject({
  uuid: z.string(),
  ...secretMembers,
  previous_secret: z.strictObject({ ...shownSecret, expires_at: time }).nullable(),
});

const missed = z
  .strictObject({
    event_id: z.string(),
    webhook_type: z.enum(EVENT_TYPES),
    session_id: z.string().nullable(),
    token_id: z.string().nullable(),
    sequence: z.int().meta({ description: 'As in the body: its number among your events about the same subject.' }),
    created_at: time,
    state: z
      .enum(['missing', 'pending', 'retrying', 'held', 'gone', 'blocked', 'aborted', 'exhausted', 'stopped'])
      .meta({ description: 'How its delivery stands; `missing` when there never was one: see `replay-missing`.' }),
    attempts: z.int(),
    last_reason: z.string().nullable().meta({
      description: 'Of its last attempt, e.g. `http_500`, or why it ended without one, e.g. `share_ended`.',
    }),
    next_attempt_at: time.nullable().meta({
      description: 'Not before the end of its destination’s rest (`paused_until`); null when none is planned.',
    }),
  })
  .meta({ id: 'MissedWebhook', description: 'An event that a destination subscribes to and has not got.' });

const more = z.boolean().meta({ description: 'It stopped at 10,000: send the same request again to go on.' });
const recovered = z.strictObject({ recovered: z.int(), more });
const replayed = z.strictObject({ replayed: z.int(), more });

const spanExample = { since: '2026-11-22T00:00:00Z', until: '2026-11-23T09:00:00Z' };
const AT_ONCE =
  'A rest of the destination ends: what waits for it, also as `pending`, goes at once and is not counted here.';
const RANGE =
  'From `since` to `until` is as long at most as payloads are kept: 30 days, unless this server is set up otherwise.';

export const repairContracts = {
  rotate: {
    operationId: 'rotateWebhookSecret',
    tag: 'Webhooks',
    summary: 'Rotate the secret of a webhook destination',
    description:
      'The new secret is shown this once. For the grace both sign: `webhook-signature` carries a signature of each, and ' +
      'Didit’s headers, which hold one value, go on with the previous one until the grace ends, or until you say by ' +
      '`didit_headers_signed_with: current` that the receiver has the new one. After a leak send `grace_seconds: 0`.',
    body: rotateBody,
    replies: { 200: rotated, ...postErrors },
    refusals: ['destination_not_found', 'rotation_in_progress'],
    examples: {
      body: { grace_seconds: 86_400 },
      replies: {
        200: {
          uuid: EXAMPLE_IDS.destination,
          ...EXAMPLE_SECRET,
          previous_secret_expires_at: '2026-11-24T09:15:00.123456Z',
          didit_headers_signed_with: 'previous',
        },
      },
    },
  },
  reveal: {
    operationId: 'revealWebhookSecret',
    tag: 'Webhooks',
    summary: 'Show the secrets of a webhook destination',
    description:
      'The current one, and the previous one while it still signs. Who looked is kept in the audit trail. A request with the ' +
      '`Idempotency-Key` of an earlier one is shown no secret.',
    body: nothingBody,
    replies: { 200: revealed, ...postErrors },
    refusals: ['destination_not_found'],
    examples: {
      body: {},
      replies: { 200: { uuid: EXAMPLE_IDS.destination, ...EXAMPLE_SECRET, previous_secret: null } },
    },
  },
  test: {
    operationId: 'testWebhookDestination',
    tag: 'Webhooks',
    summary: 'Send a test to a webhook destination, and wait for what comes of it',
    description:
      'Sends a signed `webhook.ping` once, with the header `X-Didit-Test-Webhook: true`, to a disabled destination too. The ' +
      'answer comes when the attempt has ended, or after 5 seconds: 200 with the attempt as it then stands, also when your ' +
      'endpoint answered with an error.',
    body: nothingBody,
    replies: { 200: attemptDetailReply, ...postErrors },
    refusals: ['destination_not_found'],
    examples: {
      body: {},
      replies: {
        200: {
          ...detailExample,
          uuid: EXAMPLE_IDS.delivery,
          session_id: null,
          request_url: 'https://partner.example/webhooks/handoff',
          response_status: 204,
          response_time_ms: 87,
          status: 'delivered',
          webhook_type: 'webhook.ping',
          event_id: EXAMPLE_IDS.event,
          attempt: 1,
          trigger: 'manual',
          reason: 'http_204',
          created_at: EXAMPLE_TIME,
          request_body: `{"event_id":"${EXAMPLE_IDS.event}","webhook_type":"webhook.ping"}`,
        },
      },
    },
  },
  recover: {
    operationId: 'recoverWebhookDeliveries',
    tag: 'Webhooks',
    summary: 'Send again what failed in a stretch of time',
    description:
      'Deliveries that ended without success get a new schedule, and those that wait for a retry are tried now. It keeps ' +
      '`event_id`, so a receiver drops what it has already. A `share.received` is its onboarding’s own and is not touched. ' +
      `${AT_ONCE} ${RANGE}`,
    body: spanBody,
    replies: { 200: recovered, ...postErrors },
    refusals: ['destination_not_found', 'destination_disabled', 'repair_in_progress'],
    examples: { body: spanExample, replies: { 200: { recovered: 12, more: false } } },
  },
  replayMissing: {
    operationId: 'replayMissingWebhooks',
    tag: 'Webhooks',
    summary: 'Send what a destination was never sent in a stretch of time',
    description:
      'Events that it subscribes to now and never had a delivery of, also those of before it was made. Not `share.received`, ' +
      `nor \`webhook.*\`. ${AT_ONCE} ${RANGE}`,
    body: spanBody,
    replies: { 200: replayed, ...postErrors },
    refusals: ['destination_not_found', 'destination_disabled', 'repair_in_progress'],
    examples: { body: spanExample, replies: { 200: { replayed: 3, more: false } } },
  },
  missed: {
    operationId: 'listMissedWebhooks',
    tag: 'Webhooks',
    summary: 'List events that a destination has not got, oldest first',
    description:
      'Those that it subscribes to now, whatever the state of their delivery: still on its way, held, ended, or none at all. ' +
      `A \`share.received\` shows by its delivery only; tests never do, nor what was never sent and is deleted by now. The ` +
      `first 10,000 are found, and \`count\` goes no further: begin later to see more. ${RANGE}`,
    query: missedQuery,
    replies: { 200: pageReply(missed), ...idErrors, 400: errorBody },
    refusals: ['destination_not_found'],
    examples: {
      replies: {
        200: examplePage({
          event_id: EXAMPLE_IDS.event,
          webhook_type: 'status.updated',
          session_id: EXAMPLE_IDS.session,
          token_id: null,
          sequence: 3,
          created_at: EXAMPLE_TIME,
          state: 'exhausted',
          attempts: 12,
          last_reason: 'http_500',
          next_attempt_at: null,
        }),
      },
    },
  },
} satisfies Record<string, RouteContract>;
