import { createHmac } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { resetClock, shiftClock } from '../support/database.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { sendSoon, type Sent } from './webhook-sends.ts';

const api = testApi();
const ALL = '/v3/webhook/destinations/';
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';
let serial = 0;
let brand: Brand;
let id: string;
/** The secret of its creation. */
let first: Secret;

interface Secret {
  readonly standard: string;
  readonly didit: string;
}

beforeEach(async () => {
  brand = await api.newBrand();
  serial += 1;
  const made = await api.call(brand, 'POST', ALL, {
    url: `https://receiver-${serial}.example/hooks`,
    subscribed_events: ['share.minted', 'webhook.ping'],
    enabled: false,
  });
  id = textOf(made, 'uuid');
  first = secretIn(made);
});

const secretIn = (answer: Answer): Secret => ({
  standard: textOf(answer, 'secret_standard_webhooks'),
  didit: textOf(answer, 'secret_shared_key'),
});
const ours = (verb: string, of = id) => `/v1/webhook/destinations/${of}/${verb}/`;
const rotate = (body?: unknown, headers = {}, as: Brand | string = brand) =>
  api.call(as, 'POST', ours('rotate-secret'), body, headers);
const reveal = (as: Brand | string = brand, headers = {}) =>
  api.call(as, 'POST', ours('reveal-secret'), undefined, headers);
const read = () => api.call(brand, 'GET', `${ALL}${id}/`);
const live = async () => {
  const { rows } = await api.database.pool.query<{ count: number }>(
    `select count(*)::int as count from webhook_secret
     where destination_id = $1 and (expires_at is null or expires_at > handoff_now())`,
    [id],
  );
  return rows[0]?.count;
};

/** A test that was sent, with what it is verified by. */
async function sent(): Promise<Sent> {
  const answered = api.call(brand, 'POST', ours('test'));
  const [one] = await sendSoon(api, 204);
  expect(await answered).toMatchObject({ status: 200, body: { status: 'delivered' } });
  if (one === undefined) throw new Error('the test was sent');
  return one;
}

function verifies({ body, headers }: Sent, { standard, didit }: Secret): { standard: boolean; didit: boolean } {
  // The receiver's clock is the real one; the attempt's too.
  const accepted = () => {
    try {
      new Webhook(standard).verify(body, { ...headers });
      return true;
    } catch {
      return false;
    }
  };
  const expected = createHmac('sha256', didit).update(body).digest('hex');
  return { standard: accepted(), didit: headers['x-signature-v2'] === expected };
}

describe('POST …/rotate-secret/', () => {
  it('shows a new secret once; for the grace both sign, and Didit’s headers go on with the previous one', async () => {
    const answer = await rotate();
    expect(answer).toMatchObject({ status: 200, body: { uuid: id, didit_headers_signed_with: 'previous' } });
    const second = secretIn(answer);
    expect(second.standard).toBe(`whsec_${Buffer.from(second.didit, 'base64url').toString('base64')}`);
    expect(second).not.toEqual(first);
    const until = Date.parse(textOf(answer, 'previous_secret_expires_at'));
    expect(Math.abs(until - Date.now() - 86_400_000)).toBeLessThan(60_000);
    expect(await read()).toMatchObject({
      body: { previous_secret_expires_at: answer.body['previous_secret_expires_at'] },
    });

    const during = await sent();
    expect(verifies(during, first)).toEqual({ standard: true, didit: true });
    expect(verifies(during, second)).toEqual({ standard: true, didit: false });

    // The receiver has the new one.
    const confirmed = await api.call(brand, 'PATCH', `${ALL}${id}/`, { didit_headers_signed_with: 'current' });
    expect(confirmed).toMatchObject({ status: 200, body: { didit_headers_signed_with: 'current' } });
    const after = await sent();
    expect(verifies(after, first)).toEqual({ standard: true, didit: false });
    expect(verifies(after, second)).toEqual({ standard: true, didit: true });
  });

  it('leaves one secret when the grace is over, whatever the switch says; then it can be rotated again', async () => {
    const second = secretIn(await rotate({ grace_seconds: 600 }));
    await shiftClock(api.database.pool, '601 seconds');
    const late = await sent();
    expect(verifies(late, first)).toEqual({ standard: false, didit: false });
    expect(verifies(late, second)).toEqual({ standard: true, didit: true });
    expect(await read()).toMatchObject({ body: { previous_secret_expires_at: null } });
    await api.call(brand, 'PATCH', `${ALL}${id}/`, { didit_headers_signed_with: 'current' });
    expect(await rotate()).toMatchObject({ status: 200, body: { didit_headers_signed_with: 'previous' } });
    expect(await live()).toBe(2);
    await resetClock(api.database.pool);
  });

  it('is refused during a grace, unless it ends every earlier secret at once', async () => {
    await rotate({ grace_seconds: 604_800 });
    const busy = { status: 409, body: { code: 'rotation_in_progress' } };
    expect(await rotate()).toMatchObject(busy);
    expect(await rotate({ grace_seconds: 60 })).toMatchObject(busy);
    expect(await live()).toBe(2);
    const leaked = await rotate({ grace_seconds: 0 });
    expect(leaked).toMatchObject({ status: 200, body: { previous_secret_expires_at: null } });
    expect(await live()).toBe(1);
    const now = await sent();
    expect(verifies(now, first)).toEqual({ standard: false, didit: false });
    expect(verifies(now, secretIn(leaked))).toEqual({ standard: true, didit: true });
  });

  it('happens once when many ask at once, and never leaves three secrets', async () => {
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => rotate()));
    expect(answers.map(({ status }) => String(status)).sort()).toEqual(['200', '409', '409', '409', '409']);
    expect(await live()).toBe(2);
    const leaks = await Promise.all([1, 2, 3].map(() => rotate({ grace_seconds: 0 })));
    expect(leaks.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await live()).toBe(1);
  });

  it('happens once for one Idempotency-Key; the replay shows no secret', async () => {
    const key = { 'idempotency-key': `rotate-${id}` };
    const one = await rotate({ grace_seconds: 60 }, key);
    const two = await rotate({ grace_seconds: 60 }, key);
    expect(two.body).toEqual({
      ...one.body,
      secret_shared_key: null,
      secret_standard_webhooks: null,
      secret_replayed: true,
    });
    expect(two.headers['idempotent-replayed']).toBe('true');
    expect(await reveal()).toMatchObject({ body: { secret_shared_key: one.body['secret_shared_key'] } });
  });

  it.each([
    [-1, 'Ensure this value is greater than or equal to 0.'],
    [604_801, 'Ensure this value is less than or equal to 604800.'],
    [1.5, 'A valid integer is required.'],
    ['60', 'A valid integer is required.'],
    [null, 'A valid integer is required.'],
  ])('refuses a grace of %j', async (grace_seconds, sentence) => {
    expect(await rotate({ grace_seconds })).toMatchObject({ status: 400, body: { grace_seconds: [sentence] } });
    expect(await live()).toBe(1);
  });
});

describe('POST …/reveal-secret/', () => {
  it('shows the current secret, and the previous one while it signs', async () => {
    expect(await reveal()).toMatchObject({
      status: 200,
      body: {
        uuid: id,
        secret_shared_key: first.didit,
        secret_standard_webhooks: first.standard,
        previous_secret: null,
      },
    });
    const rotated = await rotate({ grace_seconds: 60 });
    expect(await reveal()).toMatchObject({
      body: {
        secret_shared_key: rotated.body['secret_shared_key'],
        previous_secret: {
          secret_shared_key: first.didit,
          secret_standard_webhooks: first.standard,
          expires_at: rotated.body['previous_secret_expires_at'],
        },
      },
    });
    await shiftClock(api.database.pool, '61 seconds');
    expect(await reveal()).toMatchObject({ body: { previous_secret: null } });
    await resetClock(api.database.pool);
  });
});

describe('POST …/reveal-secret/ with an Idempotency-Key', () => {
  const looks = async () => {
    const { rows } = await api.database.pool.query<{ count: number }>(
      `select count(*)::int as count from event where type = 'webhook.secret_revealed' and subject_id = $1`,
      [id],
    );
    return rows[0]?.count;
  };

  it('shows them once', async () => {
    await rotate({ grace_seconds: 60 });
    const key = { 'idempotency-key': 'look-1' };
    expect(await reveal(brand, key)).toMatchObject({
      status: 200,
      body: { previous_secret: { secret_shared_key: first.didit } },
    });
    const again = await reveal(brand, key);
    expect(again).toMatchObject({
      status: 200,
      headers: { 'idempotent-replayed': 'true' },
      body: {
        uuid: id,
        secret_shared_key: null,
        secret_standard_webhooks: null,
        secret_replayed: true,
        previous_secret: null,
      },
    });
    expect(await looks()).toBe(1);
    expect(await reveal(brand, { 'idempotency-key': 'look-2' })).toMatchObject({
      body: { previous_secret: { secret_shared_key: first.didit } },
    });
    expect(await looks()).toBe(2);
    await api.call(brand, 'DELETE', `${ALL}${id}/`);
    expect(await reveal(brand, key)).toMatchObject({ status: 404, body: { code: 'resource_deleted' } });
  });

  it('refuses the key of another call', async () => {
    const key = { 'idempotency-key': 'rotation' };
    expect((await rotate({}, key)).status).toBe(200);
    expect(await reveal(brand, key)).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    expect(await looks()).toBe(0);
  });
});

describe('the secrets of a destination', () => {
  it('need the privilege to write', async () => {
    for (const less of [{ webhooks: 'read' }, { sessions: 'write' }] as const) {
      const key = await api.newKey(brand, less);
      for (const answer of [await rotate({}, {}, key), await reveal(key)]) {
        expect(answer).toMatchObject({ status: 403, body: { code: 'permission_denied' } });
      }
    }
    const enough = await api.newKey(brand, { webhooks: 'write' });
    expect((await reveal(enough)).status).toBe(200);
    expect((await rotate({}, {}, enough)).status).toBe(200);
  });

  it('are nobody else’s, and go with it', async () => {
    const missing = { status: 404, body: { code: 'destination_not_found' } };
    for (const verb of ['rotate-secret', 'reveal-secret']) {
      for (const [as, which] of [
        [api.third, id],
        [brand, UNKNOWN],
        [brand, 'x'],
      ] as const) {
        expect(await api.call(as, 'POST', ours(verb, which))).toMatchObject(missing);
      }
    }
    expect(await live()).toBe(1);
    await api.call(brand, 'DELETE', `${ALL}${id}/`);
    for (const answer of [await rotate(), await reveal()]) expect(answer).toMatchObject(missing);
    expect(await live()).toBe(0);
  });

  it('leave in the audit trail who made and who saw them, and the secrets nowhere', async () => {
    const { body } = await rotate({}, { 'x-request-id': 'rotation-1' });
    await reveal();
    expect((await rotate()).status).toBe(409);
    const { rows } = await api.database.pool.query(
      `select e.type, e.subject_id as "subjectId", e.actor_kind as kind, e.actor_id as id, e.request_id as "requestId"
       from event e where e.application_id = $1 and e.type like 'webhook.secret_%' order by e.created_at`,
      [brand.id],
    );
    expect(rows).toMatchObject([
      {
        type: 'webhook.secret_rotated',
        subjectId: id,
        kind: 'api_key',
        id: brand.keyId,
        requestId: 'rotation-1',
      },
      { type: 'webhook.secret_revealed', subjectId: id, kind: 'api_key', id: brand.keyId },
    ]);
    for (const secret of [first.didit, String(body['secret_shared_key'])]) {
      expect(JSON.stringify(rows)).not.toContain(secret);
    }
    // Neither sent nor said to be missing.
    const { rows: sends } = await api.database.pool.query(
      `select 1 from delivery where application_id = $1
       union all select 1 from outbox o join event e on e.event_id = o.subject_id where e.application_id = $1`,
      [brand.id],
    );
    expect(sends).toEqual([]);
    const missed = await api.call(
      brand,
      'GET',
      `${ours('missed')}?since=${new Date(Date.now() - 60_000).toISOString()}`,
    );
    expect(missed).toMatchObject({ status: 200, body: { count: 0, results: [] } });
  });
});
