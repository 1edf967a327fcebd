import { createHmac } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';
import { receive } from './loopback.ts';

/** One request that reached an endpoint. */
export interface ReceivedWebhook {
  readonly type: string;
  readonly body: JsonObject;
  readonly rawBody: string;
  readonly headers: IncomingHttpHeaders;
}

/** A secret in the two forms that a created destination shows once. */
export interface EndpointSecrets {
  readonly secret_shared_key: string;
  readonly secret_standard_webhooks: string;
}

/** The webhook endpoint of one brand. */
export interface ScriptedEndpoint {
  readonly url: string;
  /** Every request but tests, in the order of arrival. */
  readonly received: readonly ReceivedWebhook[];
  /** Tests, of which a new destination gets one: answered with 204 at once. */
  readonly pings: readonly ReceivedWebhook[];
  /** Status for a webhook; `nth` counts the attempts at its event from 1. Every webhook gets 204 without a script. */
  script: (webhook: ReceivedWebhook, nth: number) => number | Promise<number>;
  /** Shown by the API when the destination was created. */
  secrets: EndpointSecrets | null;
  /** Waits for a webhook of this type about this token or session, one that came before included. */
  heard(type: string, id: string): Promise<ReceivedWebhook>;
  /** Webhooks of this type about this token or session, so far. */
  all(type: string, id: string): ReceivedWebhook[];
}

/** A server on loopback where brands receive webhooks, each under a path of its own. */
export interface ScriptedPartner {
  endpoint(name: string): ScriptedEndpoint;
  stop(): Promise<void>;
}

interface Endpoint extends ScriptedEndpoint {
  readonly received: ReceivedWebhook[];
  readonly pings: ReceivedWebhook[];
  readonly waiting: Set<() => void>;
}

/** Starts the server on a free port. */
export async function startScriptedPartner(): Promise<ScriptedPartner> {
  const endpoints = new Map<string, Endpoint>();
  const server = await receive((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => void answer(request, Buffer.concat(chunks).toString('utf8'), response));
  });

  async function answer({ url = '', headers }: IncomingMessage, rawBody: string, response: ServerResponse) {
    const endpoint = endpoints.get(url);
    if (endpoint === undefined) return void response.writeHead(404).end();
    const body = JSON.parse(rawBody) as JsonObject;
    const webhook = { type: String(body['webhook_type']), body, rawBody, headers };
    if (webhook.type === 'webhook.ping') {
      endpoint.pings.push(webhook);
      return void response.writeHead(204).end();
    }
    endpoint.received.push(webhook);
    const attempts = endpoint.received.filter((one) => one.body['event_id'] === body['event_id']).length;
    for (const look of endpoint.waiting) look();
    response.writeHead(await endpoint.script(webhook, attempts)).end();
  }

  return {
    endpoint: (name) => {
      const made = newEndpoint(`http://127.0.0.1:${server.port}/${name}`);
      endpoints.set(`/${name}`, made);
      return made;
    },
    stop: () => server.close(),
  };
}

function newEndpoint(url: string): Endpoint {
  const received: ReceivedWebhook[] = [];
  const waiting = new Set<() => void>();
  const all = (type: string, id: string) =>
    received.filter(({ type: its, body }) => its === type && [body['token_id'], body['session_id']].includes(id));
  return {
    url,
    received,
    pings: [],
    waiting,
    script: () => 204,
    secrets: null,
    all,
    heard: (type, id) =>
      new Promise((resolve) => {
        const look = () => {
          const [first] = all(type, id);
          if (first === undefined) return;
          waiting.delete(look);
          resolve(first);
        };
        waiting.add(look);
        look();
      }),
  };
}

/** What its receiver finds wrong with every webhook that an endpoint got. */
export function signatureProblems({ received, secrets }: Pick<ScriptedEndpoint, 'received' | 'secrets'>): string[] {
  if (secrets === null) throw new Error('an endpoint has its secrets from its destination');
  return received.flatMap((webhook) => problemsOf(webhook, secrets).map((problem) => `${webhook.type}: ${problem}`));
}

/** What a receiver finds wrong with a webhook: by the `standardwebhooks` library, and by Didit's own recipes. */
function problemsOf({ rawBody, body, headers }: ReceivedWebhook, secrets: EndpointSecrets): string[] {
  const problems: string[] = [];
  try {
    new Webhook(secrets.secret_standard_webhooks).verify(rawBody, headers as Record<string, string>);
  } catch (error) {
    problems.push(`standardwebhooks: ${(error as Error).message}`);
  }
  const expect = (name: string, wanted: unknown) => {
    if (headers[name] !== wanted) problems.push(`${name} is ${String(headers[name])}, not ${String(wanted)}`);
  };
  const hmac = (message: string) => createHmac('sha256', secrets.secret_shared_key).update(message).digest('hex');
  const text = (member: string) => (typeof body[member] === 'string' ? body[member] : '');
  const timestamp = String(body['timestamp']);
  expect('x-timestamp', timestamp);
  expect('webhook-timestamp', timestamp);
  expect('webhook-id', `evt_${text('event_id')}`);
  expect('content-type', 'application/json');
  expect('x-signature-v2', hmac(JSON.stringify(sortKeys(body))));
  expect('x-signature', hmac(rawBody));
  expect('x-signature-simple', hmac(`${timestamp}:${text('session_id')}:${text('status')}:${text('webhook_type')}`));
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) problems.push(`timestamp ${timestamp} is not of now`);
  return problems;
}

/** Didit's receiver: keys sorted, arrays as they are; JSON.parse has shortened the floats. */
function sortKeys(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sortKeys(value[key] ?? null)]),
  );
}
