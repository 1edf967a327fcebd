import { createHmac } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import type { JsonObject } from '../../src/domain/json.ts';
import { shiftClock } from '../../test/support/test-clock.ts';
import { startServerProcess } from '../../test/support/worker-process.ts';
import { openCorrespondence, type Arrival } from '../correspondence.ts';
import { openField, type Field } from '../field.ts';
import type { Lab } from '../lab.ts';
import { same, within, type Part, type Row } from '../part.ts';
import { startSomeSender } from '../senders.ts';

/** A secret in the two forms that the API shows. */
interface Shown {
  readonly didit: string;
  readonly standard: string;
}

/** Deliveries a second. */
const RATE = 25;
const GRACE_SECONDS = 3_600;

/** Rotations with deliveries going on all the while, seen by receivers that hold the one secret, the other, or both. */
export const rotation: Part = {
  name: 'rotation',
  shows: 'rotations of the secret with deliveries going on: receivers with the old one, the new one or both',
  run: async (lab) => {
    const field = await openField(lab);
    const server = await startServerProcess(field.env);
    lab.onEnd(() => server.stop());
    await startSomeSender(lab, field);
    const stream = await openStream(lab, field);
    const api = caller(server.url, stream.apiKey);

    const made = await api('POST', '/v3/webhook/destinations/', {
      url: stream.url,
      subscribed_events: ['status.updated'],
    });
    const destination = String(made['uuid']);
    const rotate = async (graceSeconds: number) =>
      shown(
        await api('POST', `/v1/webhook/destinations/${destination}/rotate-secret/`, { grace_seconds: graceSeconds }),
      );
    const first = shown(made);
    lab.say(`${RATE} deliveries a second through two rotations`);
    const phase = (seconds: number) => stream.phase(lab.quick ? seconds / 8 : seconds);
    const before = await phase(4);
    const [rotating, second] = await Promise.all([phase(4), rotate(GRACE_SECONDS)]);
    const grace = await phase(8);
    await api('PATCH', `/v3/webhook/destinations/${destination}/`, { didit_headers_signed_with: 'current' });
    const switching = await stream.settle();
    const switched = await phase(8);
    await shiftClock(field.pool, `${GRACE_SECONDS + 1} seconds`);
    await stream.settle();
    const after = await phase(4);
    const third = await rotate(0);
    await stream.settle();
    const leaked = await phase(4);
    await stream.end();

    return [
      ...(lab.measured ? [within('deliveries a second through all of it', stream.perSecond(), [20, 1_000])] : []),
      same('events that never arrived', stream.missing(), 0),
      ...rejections('before, on the secret', before, { standard: [first], didit: [first] }),
      ...rejections('while it is rotated, on either', rotating, { standardAny: [first, second] }),
      ...rejections('grace, on the old secret', grace, { standard: [first], didit: [first] }),
      ...rejections('grace, on the new secret', grace, { standard: [second] }),
      ...rejections('grace, on both', grace, { standardAny: [first, second] }),
      ...rejections('grace, while the switch is turned, on the old secret', switching, { standard: [first] }),
      ...rejections('grace, while the switch is turned, on the new secret', switching, { standard: [second] }),
      ...rejections('grace, switch on current, on the old secret', switched, { standard: [first] }),
      ...rejections('grace, switch on current, on the new secret', switched, { standard: [second], didit: [second] }),
      ...rejections('after the grace, on the new secret', after, { standard: [second], didit: [second] }),
      ...accepted('after the grace, on the old secret', after, first),
      ...rejections('after a rotation without grace, on the new secret', leaked, { standard: [third], didit: [third] }),
      ...accepted('after a rotation without grace, on the old secret', leaked, second),
    ];
  },
};

/** How many of these receivers reject; none may. */
function rejections(
  when: string,
  arrivals: readonly Arrival[],
  holders: {
    readonly standard?: readonly Shown[];
    /** A receiver that holds them all and takes a delivery that one of them fits. */
    readonly standardAny?: readonly Shown[];
    readonly didit?: readonly Shown[];
  },
): Row[] {
  const rejected = (accepts: (arrival: Arrival) => boolean) => arrivals.filter((arrival) => !accepts(arrival)).length;
  const row = (sort: string, accepts: (arrival: Arrival) => boolean) => ({
    ...same(`${when}: ${sort} receivers reject, of ${arrivals.length}`, rejected(accepts), 0),
    ...(arrivals.length === 0 && { seen: 'nothing arrived', ok: false }),
  });
  const { standard = [], standardAny, didit = [] } = holders;
  return [
    ...standard.map((secret) => row('Standard Webhooks', (arrival) => acceptsStandard(arrival, secret))),
    ...(standardAny === undefined
      ? []
      : [row('Standard Webhooks', (arrival) => standardAny.some((secret) => acceptsStandard(arrival, secret)))]),
    ...didit.map((secret) => row('Didit-style', (arrival) => acceptsDidit(arrival, secret))),
  ];
}

/** How many receivers of either sort still accept on a secret that is over; none may. */
function accepted(when: string, arrivals: readonly Arrival[], secret: Shown): Row[] {
  const count = (accepts: (arrival: Arrival, secret: Shown) => boolean) =>
    arrivals.filter((arrival) => accepts(arrival, secret)).length;
  return [
    same(`${when}: Standard Webhooks receivers accept, of ${arrivals.length}`, count(acceptsStandard), 0),
    same(`${when}: Didit-style receivers accept, of ${arrivals.length}`, count(acceptsDidit), 0),
  ];
}

function acceptsStandard({ body, headers }: Arrival, { standard }: Shown): boolean {
  try {
    new Webhook(standard).verify(body, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}

/** All three of Didit's headers, as its receivers may look at any. */
function acceptsDidit({ body, headers }: Arrival, { didit }: Shown): boolean {
  const sign = (message: string) => createHmac('sha256', didit).update(message).digest('hex');
  const { session_id: sessionId, status, webhook_type: type } = JSON.parse(body) as Record<string, string>;
  const stamp = headers['x-timestamp'];
  return (
    headers['x-signature-v2'] === sign(body) &&
    headers['x-signature'] === sign(body) &&
    headers['x-signature-simple'] === sign(`${String(stamp)}:${sessionId ?? ''}:${status ?? ''}:${type}`)
  );
}

function shown(answer: JsonObject): Shown {
  return { didit: String(answer['secret_shared_key']), standard: String(answer['secret_standard_webhooks']) };
}

function caller(serverUrl: string, apiKey: string) {
  return async (method: 'POST' | 'PATCH', path: string, body: JsonObject): Promise<JsonObject> => {
    const response = await fetch(new URL(path, serverUrl), {
      method,
      headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as JsonObject;
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  };
}

/** Events for one application, told all the time once it has begun. */
async function openStream(lab: Lab, field: Field) {
  const { applicationId, apiKey } = await field.application();
  const telling: Promise<void>[] = [];
  let collected: Arrival[] = [];
  let begunAt = 0;
  let endedAt = 0;
  const events = await openCorrespondence(lab, field, (arrival, response) => {
    collected.push(arrival);
    response.end();
  });
  let timer: NodeJS.Timeout | undefined;
  lab.onEnd(async () => clearInterval(timer));
  const begin = () => {
    collected = [];
    if (timer !== undefined) return;
    begunAt = performance.now();
    timer = setInterval(() => telling.push(events.tell(applicationId)), 1_000 / RATE);
  };
  const settle = async () => {
    await Promise.all(telling);
    await events.settle(20_000);
    return collected.slice();
  };
  return {
    url: events.url,
    apiKey,
    /** What arrives of the events of the next `seconds` seconds. */
    phase: async (seconds: number): Promise<readonly Arrival[]> => {
      begin();
      await pause(seconds * 1_000);
      return settle();
    },
    /** What arrives until everything that was told before now has. */
    settle,
    end: async () => {
      clearInterval(timer);
      endedAt = performance.now();
      await settle();
    },
    perSecond: () => telling.length / ((endedAt - begunAt) / 1_000),
    missing: () => events.missing(),
  };
}
