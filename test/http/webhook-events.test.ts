import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson, canonicalProblem } from '../../src/crypto/canonical-json.ts';
import { EVENT_TYPES, type EventType } from '../../src/domain/events.ts';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';
import type { CloseRequest } from '../../src/domain/onboarding.ts';
import { WEBHOOK_EVENTS } from '../../src/http/schemas/webhook-events.ts';
import { deliveryLedger, dispatchEvents } from '../../src/postgres/deliveries.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { signablePayload } from '../../src/postgres/signable-payload.ts';
import { tokenDeliveryLedger } from '../../src/postgres/token-deliveries.ts';
import { closeShareToken } from '../../src/sharing/close.ts';
import { mintForOnboarding } from '../../src/sharing/mint.ts';
import { attemptDelivery, type AttemptTools } from '../../src/webhooks/attempt-delivery.ts';
import { disabledEvent, failingEvent } from '../../src/webhooks/destination-events.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { DIDIT_SECRET, diditBytes, diditHeaders, personDecision, personEvent } from '../support/didit-webhooks.ts';
import { someFile } from '../support/files.ts';
import { hostileJson } from '../support/hostile-json.ts';
import { KEYS, testApi, textOf, type Brand } from './api.ts';
import { businessDocument, mint, takeIn, userDocument } from './documents.ts';

const api = testApi();
const MAX_BYTES = 64 * 1024;
const handoff = () => handoffTenants(api.tenants, testSealer, testBlindIndex);

/** A body as it was sent to one of a brand's two destinations. */
interface Sent {
  readonly to: string;
  readonly body: JsonObject;
  readonly text: string;
}

/** Where bodies go: one destination of each payload mode. */
interface Subscriber {
  readonly brand: Brand;
  readonly full: string;
  readonly thin: string;
}

const sent: Sent[] = [];
const tools: AttemptTools = {
  shareTokenKeys: KEYS,
  mediaUrl: ({ mediaId }) => `https://handoff.example/v1/media/${mediaId}/`,
  docsUrl: 'https://handoff.example/docs/',
  poster: {
    post: ({ url, body }) => {
      sent.push({ to: url, body: JSON.parse(String(body)) as JsonObject, text: String(body) });
      const reply = {
        kind: 'reply',
        status: 200,
        retryAfter: null,
        webhookDelivery: null,
        locationHost: null,
      } as const;
      return Promise.resolve({ ...reply, bodyHead: '', bodyTruncated: false, connectedIp: '192.0.2.1', durationMs: 1 });
    },
    close: () => Promise.resolve(),
  },
};

async function subscribe(brand: Brand): Promise<Subscriber> {
  const urlOf = (mode: string) => `https://${mode}.${randomUUID()}.example/`;
  const [full, thin] = [urlOf('full'), urlOf('thin')];
  for (const [url, payload_mode] of [
    [full, 'full'],
    [thin, 'thin'],
  ]) {
    const order = { url, payload_mode, subscribed_events: EVENT_TYPES };
    expect((await api.call(brand, 'POST', '/v3/webhook/destinations/', order)).status).toBe(201);
  }
  return { brand, full, thin };
}

/** Sends all that was told so far, as the relay and the sender do. */
async function sendAll(): Promise<void> {
  const { rows } = await api.database.pool.query<{ id: string }>(
    `select subject_id as id from outbox where wish = 'dispatch'`,
  );
  await api.tenants.acrossTenants('relay', (sql) => dispatchEvents(sql, { eventIds: rows.map(({ id }) => id) }));
  const ledger = deliveryLedger(api.tenants, testSealer);
  for (let claimed = (await ledger.claimDue(100)).claimed; claimed.length > 0;) {
    for (const delivery of claimed) await ledger.record(await attemptDelivery(delivery, tools));
    claimed = (await ledger.claimDue(100)).claimed;
  }
}

/** What is wrong with a body, if anything. */
function problemsOf({ body, text }: Pick<Sent, 'body' | 'text'>): string[] {
  const { schema } = WEBHOOK_EVENTS[body['webhook_type'] as EventType];
  const outside = canonicalProblem(body);
  return [
    ...(schema.safeParse(body).error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`),
    ...(outside === null ? [] : [`${outside.pointer} ${outside.reason}`]),
    ...(text === canonicalJson(body) ? [] : ['is not canonical']),
    ...(Buffer.byteLength(text) <= MAX_BYTES ? [] : ['is too large']),
  ].map((problem) => `${String(body['webhook_type'])}: ${problem}`);
}

const patch = async (brand: Brand, path: string, body: JsonObject) => {
  const answer = await api.call(brand, 'PATCH', path, body);
  expect([path, answer.status]).toEqual([path, 200]);
};

/** An onboarding from the issuer, minted; and delivered, unless it is not to be. */
async function onboard(to: Brand, deliver = true): Promise<string> {
  const opened = await api.call(api.issuer, 'POST', '/v1/onboardings/', {
    session_id: await takeIn(api, api.issuer),
    for_application_id: to.id,
  });
  const tokenId = textOf(opened, 'token_id');
  await handoff().acrossTenants('onboarding', (tx) => mintForOnboarding(tx, tokenId, 1));
  if (!deliver) return tokenId;
  const ledger = tokenDeliveryLedger(handoff(), testSealer);
  const round = await ledger.begin(tokenId, 1);
  if (!round.open) throw new Error('the token can be delivered');
  const records = [];
  for (const delivery of round.deliveries) records.push(await attemptDelivery(delivery, tools));
  await ledger.finish(tokenId, { withToken: round.withToken, attempt: 1 }, records);
  return tokenId;
}

const close = (tokenId: string, request: CloseRequest) =>
  handoff().acrossTenants('onboarding', (tx) =>
    closeShareToken(tx, tokenId, request, { kind: 'onboarding', id: tokenId }),
  );

async function ingest(externalId: string, more: JsonObject): Promise<string> {
  const raw = diditBytes(personEvent(externalId, more));
  const answer = await api.call(null, 'POST', `/v1/ingest/didit/${api.issuer.id}/`, raw, diditHeaders(raw));
  expect(answer.status).toBe(200);
  return textOf(answer, 'session_id');
}

beforeAll(async () => {
  await api.call(api.issuer, 'PUT', '/v1/ingest/didit/', { secret_shared_key: DIDIT_SECRET });
});
afterAll(() => resetClock(api.database.pool));

describe('the example of', () => {
  it.each(EVENT_TYPES)('%s is what is sent', (type) => {
    const example = WEBHOOK_EVENTS[type].example as JsonObject;
    expect(example['webhook_type']).toBe(type);
    expect(problemsOf({ body: example, text: canonicalJson(example) })).toEqual([]);
    expect(signablePayload(example).body).toBe(example);
  });
});

describe('what destinations get', () => {
  let issuer: Subscriber;
  let partner: Subscriber;
  beforeAll(async () => {
    [issuer, partner] = [await subscribe(api.issuer), await subscribe(api.partner)];
    await everything();
    await sendAll();
  });

  /** Has something of every sort happen. */
  async function everything(): Promise<void> {
    const { brand } = issuer;
    const session = await takeIn(api, brand, userDocument({ vendor_data: 'person', metadata: { tier: 'a' } }));
    await patch(brand, `/v3/session/${session}/update-status/`, { new_status: 'Declined', comment: 'no' });
    const again = { new_status: 'Resubmitted', nodes_to_resubmit: [{ node_id: 'default', feature: 'OCR' }] };
    await patch(brand, `/v3/session/${session}/update-status/`, again);
    const file = someFile('image/png');
    const put = `/v1/sessions/${session}/media/?field=id_verifications.0.front_image`;
    expect((await api.call(brand, 'POST', put, file, { 'content-type': 'image/png' })).status).toBe(201);
    const company = await takeIn(api, brand, businessDocument({ vendor_data: 'company' }));
    await patch(brand, `/v3/session/${company}/update-status/`, { new_status: 'Declined' });
    await patch(brand, '/v3/users/person/', { status: 'FLAGGED', full_name: 'Ada', metadata: { a: 1 } });
    await patch(brand, '/v3/users/person/update-status/', { status: 'BLOCKED' });
    await patch(brand, '/v3/businesses/company/', { legal_name: 'Acme', country_code: 'GB' });
    await patch(brand, '/v3/businesses/company/update-status/', { status: 'FLAGGED' });
    const external = randomUUID();
    await ingest(external, {});
    await ingest(external, { decision: personDecision(external, 'Eva') });

    const imported = await mint(api, brand, await takeIn(api, brand), partner.brand);
    const redeemed = await api.call(partner.brand, 'POST', '/v3/session/import-shared/', { share_token: imported });
    expect(redeemed.status).toBe(201);
    const refused = await onboard(partner.brand);
    const no = { accept: false, reason: 'nobody’s customer' };
    expect((await api.call(partner.brand, 'POST', `/v1/onboardings/${refused}/acknowledge/`, no)).status).toBe(200);
    const revoked = await onboard(partner.brand);
    expect((await api.call(brand, 'POST', `/v1/onboardings/${revoked}/revoke/`)).status).toBe(200);
    await close(await onboard(partner.brand), { as: 'rejected', reason: 'source_session_gone' });
    await close(await onboard(partner.brand, false), { as: 'undeliverable', reason: 'no_destination' });
    const expired = await onboard(partner.brand);
    await shiftClock(api.database.pool, '3601 seconds');
    await close(expired, { as: 'expired' });
    await resetClock(api.database.pool);

    const about = {
      destinationId: randomUUID(),
      applicationId: brand.id,
      environment: 'sandbox',
      label: 'Zürich \u{1F600}',
    } as const;
    const at = '2026-11-23T10:00:00.000000Z';
    await handoff().acrossTenants('relay', async (tx) =>
      tx.events.insert(
        [
          failingEvent(about, { failingSince: at, percent: 50, disabledAfter: at }),
          disabledEvent(about, { reason: 'failing', disabledAt: at }),
        ],
        { kind: 'system', id: null },
      ),
    );
  }

  const bodies = (to: string, type?: EventType) =>
    sent
      .filter((one) => one.to === to && (type === undefined || one.body['webhook_type'] === type))
      .map(({ body }) => body);

  it('is of every type, and each body is what its schema says', () => {
    expect(new Set(sent.map(({ body }) => body['webhook_type']))).toEqual(new Set(EVENT_TYPES));
    expect(sent.flatMap(problemsOf)).toEqual([]);
  });

  it('is the same for both modes, but that a thin one has no decision, changes or metadata', () => {
    for (const { full, thin } of [issuer, partner]) {
      // A ping is for one destination alone.
      const lean = bodies(thin).filter((body) => body['webhook_type'] !== 'webhook.ping');
      expect(lean.length).toBeGreaterThan(5);
      for (const { timestamp: _sent, ...body } of lean) {
        const whole = bodies(full).find(({ event_id }) => event_id === body['event_id']) ?? {};
        const { decision, changes, metadata, timestamp: _when, ...rest } = whole;
        expect(body).toEqual({
          ...rest,
          ...(decision !== undefined && { decision_omitted: true }),
          ...(metadata !== undefined && { metadata_omitted: true }),
          ...(changes !== undefined && { changes_omitted: true }),
        });
      }
    }
    expect(bodies(issuer.full, 'user.data.updated')[0]).toHaveProperty('changes');
    expect(bodies(issuer.full, 'status.updated').filter((body) => 'decision' in body).length).toBeGreaterThan(1);
  });

  it('is numbered by one for each subject, in the order of what happened', async () => {
    const { rows } = await api.database.pool.query<{ numbers: number[] }>(
      `select array_agg(sequence::int order by created_at, event_id) as numbers
       from event where sequence is not null group by application_id, subject_id`,
    );
    for (const { numbers } of rows) expect(numbers).toEqual(numbers.map((_number, index) => index + 1));
    expect(Math.max(...rows.map(({ numbers }) => numbers.length))).toBeGreaterThan(2);
    const told = await api.database.pool.query<{ id: string; sequence: number }>(
      'select event_id as id, sequence::int as sequence from event',
    );
    const numberOf = new Map(told.rows.map(({ id, sequence }) => [id, sequence]));
    for (const { body } of sent) {
      expect(body['sequence']).toBe(numberOf.get(String(body['event_id'])));
    }
  });
});

describe('data.updated', () => {
  /** What was told of a session since it was first told of, with what it said. */
  async function toldSince(sessionId: string): Promise<readonly (readonly [type: string, body: JsonObject])[]> {
    const { rows } = await api.database.pool.query<{ type: string; payload: Buffer }>(
      `select type, payload from event join event_payload using (event_id, application_id)
       where session_id = $1 and sequence > 1 order by sequence`,
      [sessionId],
    );
    const context = { applicationId: api.issuer.id, sessionId, category: 'event', position: 0 };
    return rows.map(({ type, payload }) => [type, testSealer.openPayload(context, payload) as JsonObject]);
  }

  it('tells newer content of the same status, and nothing else does', async () => {
    const external = randomUUID();
    const session = await ingest(external, {});
    const now = Math.floor(Date.now() / 1000);
    // The status alone, and a word of before.
    await ingest(external, { decision: undefined as unknown as JsonValue });
    await ingest(external, { created_at: now - 100, decision: personDecision(external, 'Old') });
    expect(await toldSince(session)).toEqual([]);
    await ingest(external, { webhook_type: 'data.updated', decision: personDecision(external, 'Eva') });
    const about = { session_id: session, status: 'Approved', session_kind: 'user', trigger: 'ingestion' };
    const eva = { id_verifications: [{ first_name: 'Eva' }] };
    expect(await toldSince(session)).toMatchObject([['data.updated', { ...about, decision: eva }]]);
    await ingest(external, { status: 'Declined', decision: personDecision(external, 'Ida', { status: 'Declined' }) });
    const [, both, ...more] = await toldSince(session);
    expect(both).toMatchObject(['status.updated', { status: 'Declined', decision: { status: 'Declined' } }]);
    expect(more).toEqual([]);
  });

  it('tells a file that its owner put in, once', async () => {
    const session = await takeIn(api, api.issuer, userDocument({ vendor_data: null }));
    await patch(api.issuer, `/v3/session/${session}/update-status/`, { new_status: 'Declined' });
    const put = (field: string) =>
      api.call(api.issuer, 'POST', `/v1/sessions/${session}/media/?field=${field}`, file, {
        'content-type': 'image/png',
        'idempotency-key': `${session}:${field}`,
      });
    const file = someFile('image/png');
    expect((await put('id_verifications.7.front_image')).status).toBe(400);
    expect((await put('id_verifications.0.front_image')).status).toBe(201);
    expect((await put('id_verifications.0.front_image')).status).toBe(201);
    const told = await toldSince(session);
    expect(told).toMatchObject([['data.updated', { session_id: session, status: 'Declined', trigger: 'file_added' }]]);
    expect(told[0]?.[1]).toHaveProperty('decision.id_verifications.0.front_image');
  });

  it('does not tell of a review that changes nothing', async () => {
    const session = await takeIn(api, api.issuer);
    await patch(api.issuer, `/v3/session/${session}/update-status/`, { new_status: 'Declined' });
    const review = { comment: 'seen', new_status: 'Approved' };
    expect((await api.call(api.issuer, 'POST', `/v3/sessions/${session}/reviews/`, review)).status).toBe(201);
    expect(await toldSince(session)).toEqual([]);
  });
});

describe('a change whose event cannot be signed as it is', () => {
  /** What a new brand's destinations get of what `work` does with it. */
  async function toldOf(work: (brand: Brand) => Promise<void>): Promise<readonly Sent[]> {
    const subscriber = await subscribe(await api.newBrand());
    await work(subscriber.brand);
    await sendAll();
    const { full, thin } = subscriber;
    return sent.filter(({ to, body }) => [full, thin].includes(to) && body['webhook_type'] !== 'webhook.ping');
  }

  it('happens, and is told without it', async () => {
    const metadata = { '10': 1, tiny: 1e-9, text: 'ü'.repeat(20_000) };
    const told = await toldOf(async (brand) => {
      const session = await takeIn(api, brand, userDocument({ vendor_data: 'a', metadata }));
      await patch(brand, `/v3/session/${session}/update-status/`, { new_status: 'Declined' });
      await patch(brand, '/v3/users/a/', { metadata, display_name: 'Ada' });
    });
    expect(told.flatMap(problemsOf)).toEqual([]);
    const status = told.filter(({ body }) => body['webhook_type'] === 'status.updated');
    expect(status).toHaveLength(2);
    for (const { body } of status) {
      expect(body).toMatchObject({ status: 'Declined', decision_omitted: true, metadata_omitted: true });
    }
    const data = told.filter(({ body }) => body['webhook_type'] === 'user.data.updated');
    expect(data).toHaveLength(2);
    for (const { body } of data) {
      expect(body).toMatchObject({ changed_fields: ['metadata', 'display_name'], changes_omitted: true });
    }
  });

  it('succeeds whatever customers put into their own text, and every body is inside the profile', async () => {
    const words = fc.record({
      metadata: hostileJson,
      custom: hostileJson,
      review: hostileJson,
      comment: fc.string({ unit: 'binary', maxLength: 200 }),
      vendorData: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
    });
    let [taken, whole, omitted] = [0, 0, 0];
    for (const { metadata, custom, review, comment, vendorData } of fc.sample(words, { numRuns: 40, seed: 5 })) {
      const told = await toldOf(async (brand) => {
        const document = userDocument({
          vendor_data: vendorData,
          metadata,
          id_verifications: [{ status: 'Approved', node_id: 'ocr', extra_fields: custom }],
          reviews: [{ new_status: 'Approved', comment: review, created_at: '2026-05-17T08:42:11Z' }] as JsonValue,
        });
        const answer = await api.call(brand, 'POST', '/v1/sessions/', document);
        // What cannot be stored at all never comes so far.
        if (answer.status !== 201) return expect(answer.status).toBe(400);
        taken += 1;
        const session = textOf(answer, 'session_id');
        const verdict = comment.isWellFormed() && !comment.includes('\0') ? { comment } : {};
        await patch(brand, `/v3/session/${session}/update-status/`, { new_status: 'Declined', ...verdict });
        const at = `/v3/users/${encodeURIComponent(vendorData)}/`;
        const said = await api.call(brand, 'PATCH', at, { metadata: { any: metadata } });
        expect([200, 400, 413]).toContain(said.status);
      });
      expect(told.flatMap(problemsOf)).toEqual([]);
      for (const { body } of told) {
        const members = body['webhook_type'] === 'status.updated' ? ['decision', 'metadata'] : ['changes'];
        for (const name of members) {
          const left = `${name}_omitted` in body;
          expect([name, name in body]).toEqual([name, !left]);
          if (left) omitted += 1;
          else whole += 1;
        }
      }
    }
    expect(Math.min(taken, whole, omitted)).toBeGreaterThan(10);
  });
});
