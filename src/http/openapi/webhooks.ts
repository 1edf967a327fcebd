import { EVENT_TYPES, type EventType } from '../../domain/events.ts';
import type { JsonObject } from '../../domain/json.ts';
import { WEBHOOK_EVENTS } from '../schemas/webhook-events.ts';
import type { SchemaWriter } from './json-schemas.ts';
import type { Tag } from './tags.ts';

const SHA256 = { type: 'string', pattern: '^[0-9a-f]{64}$' };
const SECONDS = { type: 'string', pattern: '^[0-9]+$' };

const HEADERS: readonly { readonly name: string; readonly description: string; readonly schema: JsonObject }[] = [
  {
    name: 'webhook-id',
    description: '`evt_` and the `event_id` of the body: the same for every attempt and resend. Act on each once.',
    schema: { type: 'string', pattern: '^evt_[0-9a-f-]{36}$' },
  },
  {
    name: 'webhook-timestamp',
    description: 'Unix seconds of this attempt: refuse what is more than 300 seconds off.',
    schema: SECONDS,
  },
  {
    name: 'webhook-signature',
    description:
      'Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`, keyed with ' +
      'the bytes of `secret_standard_webhooks`. One for each live secret, with spaces between them: accept any.',
    schema: { type: 'string' },
  },
  {
    name: 'webhook-attempt',
    description: 'Counts the attempts of this delivery from 1. Not signed.',
    schema: { type: 'string', pattern: '^[1-9][0-9]*$' },
  },
  { name: 'X-Timestamp', description: 'Didit’s: the same as `webhook-timestamp`.', schema: SECONDS },
  {
    name: 'X-Signature-V2',
    description:
      'Didit’s: hex HMAC-SHA256 of the canonical body, keyed with the text of `secret_shared_key`. The body is sent ' +
      'canonical, so this is the signature of its bytes.',
    schema: SHA256,
  },
  { name: 'X-Signature', description: 'Didit’s: the same over the bytes of the body.', schema: SHA256 },
  {
    name: 'X-Signature-Simple',
    description:
      'Didit’s last resort: over `{timestamp}:{session_id}:{status}:{webhook_type}`, empty where the body has no such ' +
      'member. It does not cover the rest of the body: check another one.',
    schema: SHA256,
  },
];

const TEST_HEADER = {
  name: 'X-Didit-Test-Webhook',
  description: '`true` on a test: it stands for nothing.',
  schema: { type: 'string', const: 'true' },
};

const RECEIVED = 'Received. The status alone counts, and it has to come within the time limit.';

/** What a receiver answers, and what then becomes of the delivery. */
function responsesTo(type: EventType): JsonObject {
  if (type === 'webhook.ping') {
    return {
      '2XX': { description: RECEIVED },
      default: {
        description:
          'Anything else, and no answer at all: the test has failed, and nothing else comes of it. It is sent once, and its ' +
          'destination stays as it is, after 410 and whatever the header `webhook-delivery` says too.',
      },
    };
  }
  const schedule =
    type === 'share.received' ? 'on schedule until the token expires' : 'on schedule, 12 times over some three days';
  const headers = { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } };
  return {
    '2XX': {
      description: `${RECEIVED} With the header \`webhook-delivery: disable\` the destination is switched off besides.`,
    },
    '410': {
      description:
        'Gone: not tried again, and the destination is switched off.' +
        (type === 'share.received' ? ' The share is lost when none of your other destinations can get it.' : ''),
    },
    '429': {
      description: 'Overloaded, as 502, 503 and 504: tried again later, after `Retry-After` where it is told.',
      headers,
    },
    '503': { description: 'Overloaded: as 429.', headers },
    default: {
      description:
        `Anything else, a redirect too, and no answer at all: tried again ${schedule}. With the header ` +
        '`webhook-delivery: abort-message`, not tried again.',
    },
  };
}

/** The parameters that the operations below refer to, by name. */
export const WEBHOOK_PARAMETERS: JsonObject = Object.fromEntries(
  [...HEADERS.map((header) => ({ ...header, required: true })), { ...TEST_HEADER, required: false }].map(
    ({ name, required, description, schema }): [string, JsonObject] => [
      camel(name),
      { name, in: 'header', required, description, schema },
    ],
  ),
);

/** The document's `webhooks`: what is sent to destinations, by the event's name. */
export function webhooksOf(schemas: SchemaWriter): JsonObject {
  return Object.fromEntries(EVENT_TYPES.map((type) => [type, { post: webhookOf(type, schemas) }]));
}

function webhookOf(type: EventType, schemas: SchemaWriter): JsonObject {
  const { summary, description, schema, example } = WEBHOOK_EVENTS[type];
  const headers = type === 'webhook.ping' ? [...HEADERS, TEST_HEADER] : HEADERS;
  return {
    operationId: `on${camel(type)}`,
    tags: ['Webhooks' satisfies Tag],
    summary,
    description,
    security: [],
    parameters: headers.map(({ name }) => ({ $ref: `#/components/parameters/${camel(name)}` })),
    requestBody: {
      required: true,
      content: { 'application/json': { schema: schemas.write(schema, 'output'), example: example as JsonObject } },
    },
    responses: responsesTo(type),
  };
}

/** `webhook-id` is `WebhookId`, and `share.minted` is `ShareMinted`. */
function camel(name: string): string {
  return name.replaceAll(/(?:^|[.-])([A-Za-z])/g, (_all, first: string) => first.toUpperCase());
}
