import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { DELIVERY_DELAYS_MS } from '../../src/domain/delivery-schedule.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { webhookDeliveryWorkflowId } from '../../src/domain/temporal-names.ts';
import type { Brand } from '../support/brands.ts';
import { receive, type Loopback } from '../support/loopback.ts';
import { expectNoFailedTask } from '../support/runs.ts';
import { signatureProblems, type EndpointSecrets, type ReceivedWebhook } from '../support/scripted-partner.ts';
import { simulatedTime } from '../support/simulated-time.ts';
import { handoffStack } from '../support/stack.ts';

/*
 * A partner whose receiver refuses connections for a day, on simulated time: Temporal skips over what nobody waits for,
 * and the database's clock goes along. Server, webhooks worker, Postgres and HTTP are real.
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SUBSCRIBED = ['status.updated', 'user.status.updated', 'share.minted', 'share.imported'];

const time = simulatedTime();
const stack = handoffStack({ useTemporal: () => time.useTemporal(), workers: ['webhooks'] });
const pass = (ms: number) => time.passWithRetries(stack, ms);

let partner: Brand;
let destination: string;
let secrets: EndpointSecrets;
/** Where the partner receives, while it does. */
let receiver: Loopback | undefined;
const received: ReceivedWebhook[] = [];
let port: number;

async function comeUp(): Promise<void> {
  receiver = await receive(
    (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const rawBody = Buffer.concat(chunks).toString('utf8');
        const body = JSON.parse(rawBody) as JsonObject;
        received.push({ type: String(body['webhook_type']), body, rawBody, headers: request.headers });
        response.writeHead(204).end();
      });
    },
    '127.0.0.1',
    port,
  );
}

async function goDown(): Promise<void> {
  await receiver?.close();
  receiver = undefined;
}

beforeAll(async () => {
  port = await freePort();
  await comeUp();
  partner = await stack.brands.add({ destination: false });
  const created = await stack.brands.done(partner, 'POST', '/v3/webhook/destinations/', {
    url: `http://127.0.0.1:${port}/hook`,
    subscribed_events: SUBSCRIBED,
  });
  destination = String(created['uuid']);
  secrets = created as unknown as EndpointSecrets;
});
afterAll(goDown);

/** Events that answered calls made for the partner: each by its type and the session, token or user that it is about. */
const promised: string[] = [];

/** What the partner's own backend goes on doing while its receiver is down: six events. */
async function goAbout(): Promise<void> {
  const { brands, issuer } = stack;
  const share = async (from: Brand, to: Brand) => {
    const path = `/v3/session/${await brands.takeIn(from, 'kyc-approved')}/share/`;
    const text = String((await brands.done(from, 'POST', path, { for_application_id: to.id }))['share_token']);
    const claims = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
    return { text, tokenId: claims.jti };
  };
  const take = (by: Brand, text: string, vendorData: string) =>
    brands.done(by, 'POST', '/v3/session/import-shared/', {
      share_token: text,
      trust_review: true,
      vendor_data: vendorData,
    });

  const user = `user-${promised.length}`;
  const theirs = await share(issuer, partner);
  const session = String((await take(partner, theirs.text, user))['session_id']);
  promised.push(`status.updated ${session}`);
  for (const new_status of ['Declined', 'Approved']) {
    await brands.done(partner, 'PATCH', `/v3/session/${session}/update-status/`, { new_status });
    promised.push(`status.updated ${session}`);
  }
  await brands.done(partner, 'PATCH', `/v3/users/${user}/update-status/`, { status: 'FLAGGED' });
  promised.push(`user.status.updated ${user}`);

  const ours = await share(partner, issuer);
  await take(issuer, ours.text, user);
  promised.push(`share.minted ${ours.tokenId}`, `share.imported ${ours.tokenId}`);
}

const subjectOf = ({ type, body }: Pick<ReceivedWebhook, 'type' | 'body'>) =>
  `${type} ${String(type.startsWith('share.') ? body['token_id'] : (body['session_id'] ?? body['vendor_data']))}`;

interface EventRow {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly sequence: number;
  /** In milliseconds from now; of its delivery's next attempt. */
  readonly dueInMs: number;
  readonly ended: boolean;
  readonly state: string;
}

/** Every event that the partner subscribed to, oldest first, as Postgres has it. */
async function events(): Promise<EventRow[]> {
  const { rows } = await stack.database.pool.query<EventRow>(
    `select e.event_id as id, e.type, e.subject_id as subject, e.sequence::int as sequence,
       (extract(epoch from d.next_at - handoff_now()) * 1000)::float8 as "dueInMs", d.ended_at is not null as ended, d.state
     from event e join delivery d on d.event_id = e.event_id and d.destination_id = $1
     where e.type = any ($2) order by e.created_at, e.event_id`,
    [destination, SUBSCRIBED],
  );
  return rows;
}

/** What our API says that the partner has not got. */
async function missed(since: string): Promise<JsonObject[]> {
  const path = `/v1/webhook/destinations/${destination}/missed/?limit=100&since=${encodeURIComponent(since)}`;
  const { count, results } = await stack.brands.done(partner, 'GET', path);
  expect(results).toHaveLength(Number(count));
  return results as JsonObject[];
}

const idsOf = (webhooks: readonly ReceivedWebhook[]) => webhooks.map(({ body }) => String(body['event_id']));
const now = async () => {
  const { rows } = await stack.database.pool.query<{ now: Date }>('select handoff_now() as now');
  return rows[0]?.now ?? new Date(Number.NaN);
};

interface Attempt {
  readonly event: string;
  readonly attempt: number;
  readonly at: Date;
  readonly trigger: string;
  readonly state: string;
}
async function attempts(): Promise<Map<string, Attempt[]>> {
  const { rows } = await stack.database.pool.query<Attempt>(
    `select d.event_id as event, a.attempt, a.started_at as at, a.trigger, a.state
     from delivery_attempt a join delivery d using (delivery_id) join event e using (event_id)
     where d.destination_id = $1 and e.type = any ($2) order by a.attempt`,
    [destination, SUBSCRIBED],
  );
  return Map.groupBy(rows, ({ event }) => event);
}

test(
  'a partner that was away for a day gets every event, by its schedule or when it asks',
  { timeout: 240_000 },
  async () => {
    // The ping of its creation: it works.
    await expect.poll(() => received.map(({ type }) => type), { timeout: 20_000 }).toEqual(['webhook.ping']);
    received.length = 0;
    const since = (await now()).toISOString();
    await goDown();
    // Hours between what happens; a day in all.
    for (const hours of [1, 4, 7, 6, 5.5, 0.5]) {
      await goAbout();
      await pass(hours * HOUR);
    }
    expect(promised).toHaveLength(36);
    expect(received).toEqual([]);

    // Every call is told of once, and all of it is missing.
    const all = await events();
    const waiting = await missed(since);
    expect(waiting.map(({ event_id }) => event_id)).toEqual(all.map(({ id }) => id));
    expect(waiting.map(({ sequence }) => sequence)).toEqual(all.map(({ sequence }) => sequence));
    const types = promised.map((one) => one.split(' ')[0] ?? '');
    expect(all.map(({ type }) => type).sort()).toEqual(types.sort());
    for (const { state, attempts: made, last_reason } of waiting) {
      expect(state).toBe('retrying');
      expect(made).toBeGreaterThanOrEqual(1);
      expect(last_reason).toBe('connect');
    }
    // No attempt came before its time, however many waited with it.
    for (const made of (await attempts()).values()) {
      for (const [index, { at }] of made.entries()) {
        const before = made[index - 1];
        if (before === undefined) continue;
        const least = 0.8 * (DELIVERY_DELAYS_MS[index - 1] ?? Number.NaN);
        // A run's timer and the database's clock need not agree to the second.
        expect(at.getTime() - before.at.getTime()).toBeGreaterThanOrEqual(least - 1_000);
      }
    }

    await comeUp();
    const returned = await now();
    await pass(3 * HOUR);
    // Those that were due are here, each once, and soon after its time; all others wait for theirs.
    const due = all.filter(({ dueInMs }) => dueInMs <= 2.5 * HOUR);
    const later = all.filter(({ dueInMs }) => dueInMs > 3 * HOUR + MINUTE);
    expect(due).not.toEqual([]);
    expect(later).not.toEqual([]);
    const bySchedule = idsOf(received);
    expect(new Set(bySchedule).size).toBe(bySchedule.length);
    expect(bySchedule).toEqual(expect.arrayContaining(due.map(({ id }) => id)));
    for (const { id } of later) expect(bySchedule).not.toContain(id);
    const log = await attempts();
    for (const { id, dueInMs } of due) {
      const last = log.get(id)?.at(-1);
      expect(last).toMatchObject({ trigger: 'auto', state: 'delivered' });
      const lateMs = (last?.at.getTime() ?? Number.NaN) - (returned.getTime() + Math.max(0, dueInMs));
      expect(lateMs).toBeGreaterThanOrEqual(-1_000);
      // Those that waited for the circuit come back spread over some minutes.
      expect(lateMs).toBeLessThan(20 * MINUTE);
    }
    expect((await missed(since)).map(({ event_id }) => event_id)).toEqual(
      all.map(({ id }) => id).filter((id) => !bySchedule.includes(id)),
    );

    // It asks for the rest.
    const path = `/v1/webhook/destinations/${destination}/recover/`;
    const left = all.length - bySchedule.length;
    expect(await stack.brands.done(partner, 'POST', path, { since })).toEqual({ recovered: left, more: false });
    await expect.poll(() => received.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(all.length);
    await expect.poll(() => missed(since), { timeout: 20_000 }).toEqual([]);

    // The runs that slept meanwhile find nothing to do.
    await time.pass(stack, 30 * HOUR);
    for (const { id } of all) {
      const handle = stack.handoff.temporal.workflow.getHandle(webhookDeliveryWorkflowId(id, destination));
      expect((await handle.describe()).status.name).toBe('COMPLETED');
      expectNoFailedTask(await handle.fetchHistory());
    }

    // All of it once, signed for its moment, and in an order that can be told.
    expect(idsOf(received).sort()).toEqual(all.map(({ id }) => id).sort());
    expect(received.map(subjectOf).sort()).toEqual(promised.toSorted());
    expect(signatureProblems({ received, secrets })).toEqual([]);
    const sequences = new Map(received.map(({ body }) => [String(body['event_id']), body['sequence']]));
    for (const rows of Map.groupBy(all, ({ subject }) => subject).values()) {
      const numbers = rows.map(({ id }) => Number(sequences.get(id)));
      expect(numbers).toEqual(rows.map(({ sequence }) => sequence));
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    }
  },
);
