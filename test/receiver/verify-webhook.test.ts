import { createHmac, randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { canonicalJson } from '../../src/crypto/canonical-json.ts';
import { diditSecret, newWebhookSecret, signWebhook, standardSecret } from '../../src/crypto/webhook-signature.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { verifyWebhook, type WebhookToVerify } from '../../src/receiver/index.ts';

const NOW = 1_774_970_000;
const SECRET = newWebhookSecret();
const EVENT = {
  event_id: randomUUID(),
  webhook_type: 'status.updated',
  timestamp: NOW,
  session_id: randomUUID(),
  status: 'Approved',
  decision: { first_name: 'Zoë', score: 99.5 },
};

afterEach(() => {
  vi.restoreAllMocks();
});

/** What arrives of our sender. */
function delivery(event: JsonObject = EVENT, secrets: readonly [Buffer, ...Buffer[]] = [SECRET], diditSecretIndex = 0) {
  const body = canonicalJson(event);
  const headers = signWebhook({
    eventId: EVENT.event_id,
    webhookType: String(event['webhook_type']),
    body,
    timestampSeconds: NOW,
    attempt: 1,
    secrets,
    diditSecretIndex,
  });
  return { headers, body, secrets: standardSecret(SECRET), now: NOW } satisfies WebhookToVerify;
}

type Sent = Pick<WebhookToVerify, 'headers' | 'body' | 'secrets' | 'now'>;
type Scheme = NonNullable<WebhookToVerify['scheme']>;

const verdict = (webhook: WebhookToVerify): Promise<string> =>
  verifyWebhook(webhook).then(
    () => 'believed',
    (error: { name: string; code?: string }) => error.code ?? error.name,
  );
const verdicts = async (webhook: Sent): Promise<Record<Scheme, string>> => ({
  any: await verdict(webhook),
  standard: await verdict({ ...webhook, scheme: 'standard' }),
  didit: await verdict({ ...webhook, scheme: 'didit' }),
});
const everyWay = (code: string): Record<Scheme, string> => ({ any: code, standard: code, didit: code });

/** The same webhook with some headers changed; undefined takes one away. */
function withHeaders(sent: ReturnType<typeof delivery>, changes: Record<string, string | string[] | undefined>): Sent {
  return { ...sent, headers: { ...sent.headers, ...changes } };
}

describe('a delivery of ours', () => {
  it('is the event that was signed', async () => {
    for (const scheme of ['any', 'standard', 'didit'] as const) {
      expect(await verifyWebhook({ ...delivery(), scheme })).toEqual(EVENT);
    }
  });

  it.each<[string, (sent: ReturnType<typeof delivery>) => WebhookToVerify['headers']]>([
    ['a Headers object', ({ headers }) => new Headers(headers)],
    ['other case', ({ headers }) => mapNames(headers, (name) => name.toUpperCase())],
    [
      'lists of one',
      ({ headers }) => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    ],
  ])('may come with its headers as %s', async (_how, headersOf) => {
    expect(await verdicts({ ...delivery(), headers: headersOf(delivery()) })).toEqual(everyWay('believed'));
  });

  it('may come as text, as bytes, as part of other bytes', async () => {
    const bytes = Buffer.from(delivery().body);
    const within = new Uint8Array(Buffer.concat([Buffer.from('xx'), bytes, Buffer.from('yy')]));
    for (const body of [bytes, new Uint8Array(bytes).buffer, within.subarray(2, 2 + bytes.length)]) {
      expect(await verdicts({ ...delivery(), body })).toEqual(everyWay('believed'));
    }
  });

  it('verifies with the secret in either form, and with any of several', async () => {
    const other = newWebhookSecret();
    for (const secrets of [
      standardSecret(SECRET),
      diditSecret(SECRET),
      [diditSecret(SECRET)],
      [standardSecret(other), diditSecret(SECRET)],
      [standardSecret(SECRET), 'a-literal-secret-of-didit'],
    ]) {
      expect(await verdicts({ ...delivery(), secrets })).toEqual(everyWay('believed'));
    }
    expect(await verdicts({ ...delivery(), secrets: standardSecret(other) })).toEqual(everyWay('no_match'));
    expect(await verdicts({ ...delivery(), secrets: [diditSecret(other), 'else'] })).toEqual(everyWay('no_match'));
  });

  it('in a rotation verifies with either secret, and by Didit’s headers with the one that the destination names', async () => {
    const fresh = newWebhookSecret();
    const sent = delivery(EVENT, [fresh, SECRET], 1);
    expect(await verdicts(sent)).toEqual(everyWay('believed'));
    expect(await verdicts({ ...sent, secrets: standardSecret(fresh) })).toEqual({
      any: 'believed',
      standard: 'believed',
      didit: 'no_match',
    });
  });

  it('is refused with anything changed', async () => {
    const sent = delivery();
    const changed = sent.body.replace('Approved', 'Declined');
    expect(await verdicts({ ...sent, body: changed })).toEqual(everyWay('no_match'));
    expect(await verdicts({ ...sent, body: `${sent.body}\n` })).toMatchObject({
      standard: 'no_match',
      didit: 'believed',
    });
    expect(await verdicts(withHeaders(sent, { 'webhook-id': `evt_${randomUUID()}` }))).toMatchObject({
      standard: 'no_match',
      any: 'believed',
    });
  });

  it('is refused beyond the tolerance, in the past and in the future, though it is genuine', async () => {
    for (const now of [NOW - 300, NOW + 300]) {
      expect(await verdicts({ ...delivery(), now })).toEqual(everyWay('believed'));
    }
    for (const now of [NOW - 301, NOW + 301]) {
      expect(await verdicts({ ...delivery(), now })).toEqual(everyWay('stale_timestamp'));
    }
    expect(await verdict({ ...delivery(), now: NOW + 301, toleranceSeconds: 600 })).toBe('believed');
    expect(await verdict({ ...delivery(), now: NOW + 11, toleranceSeconds: 10 })).toBe('stale_timestamp');
    // Its default is this machine's clock.
    const { now: _now, ...atOnce } = delivery();
    expect(await verdict(atOnce)).toBe('stale_timestamp');
  });

  it('a time that is not the signed one does not make it fresh', async () => {
    const later = { 'webhook-timestamp': String(NOW + 900), 'x-timestamp': String(NOW + 900) };
    expect(await verdicts({ ...withHeaders(delivery(), later), now: NOW + 900 })).toEqual({
      standard: 'no_match',
      didit: 'timestamp_mismatch',
      any: 'timestamp_mismatch',
    });
  });
});

describe('headers', () => {
  it.each([
    ['webhook-id', 'standard'],
    ['webhook-timestamp', 'standard'],
    ['webhook-signature', 'standard'],
    ['x-timestamp', 'didit'],
  ] as const)('%s is needed', async (name, scheme) => {
    for (const value of [undefined, '']) {
      expect(await verdict({ ...withHeaders(delivery(), { [name]: value }), scheme })).toBe('missing_headers');
      expect(await verdict(withHeaders(delivery(), { [name]: value }))).toBe('believed');
    }
  });

  it('one of Didit’s two signatures is enough, but never the simple one', async () => {
    const [v2, bytes] = ['x-signature-v2', 'x-signature'];
    const without = (...names: string[]) => ({
      ...withHeaders(delivery(), Object.fromEntries(names.map((name) => [name, undefined]))),
      scheme: 'didit' as const,
    });
    expect(await verdict(without(v2))).toBe('believed');
    expect(await verdict(without(bytes))).toBe('believed');
    expect(await verdict(without(v2, bytes))).toBe('simple_signature_only');
    expect(await verdict({ ...without(v2, bytes, 'webhook-signature'), scheme: 'any' })).toBe('simple_signature_only');
    expect(await verdict(without(v2, bytes, 'x-signature-simple'))).toBe('missing_headers');
    expect(await verdicts({ ...delivery(), headers: {} })).toEqual(everyWay('missing_headers'));
  });

  it('the simple signature in another’s place proves nothing', async () => {
    const simple = delivery().headers['x-signature-simple'];
    const sent = withHeaders(delivery(), { 'x-signature-v2': simple, 'x-signature': simple });
    expect(await verdict({ ...sent, scheme: 'didit' })).toBe('no_match');
  });

  it.each(['', 'f', 'v1', 'v1,', 'v1,!', `v1,${'A'.repeat(4_000)}`, `v2,${'A'.repeat(43)}=`])(
    'a signature that is none is no match: %j',
    async (text) => {
      const code = text === '' ? 'missing_headers' : 'no_match';
      const sent = withHeaders(delivery(), { 'webhook-signature': text, 'x-signature': text, 'x-signature-v2': text });
      expect(await verdicts({ ...sent, secrets: diditSecret(SECRET) })).toMatchObject({
        standard: code,
        didit: text === '' ? 'simple_signature_only' : code,
      });
    },
  );

  it('a signature of other length is no match', async () => {
    const { headers } = delivery();
    const hex = String(headers['x-signature']);
    for (const text of [hex.slice(2), `${hex}00`, ` ${hex}`]) {
      const sent = withHeaders(delivery(), { 'x-signature': text, 'x-signature-v2': text });
      expect(await verdict({ ...sent, scheme: 'didit' })).toBe('no_match');
    }
  });

  it('of any number of signatures one has to match; other versions are skipped', async () => {
    const genuine = String(delivery().headers['webhook-signature']);
    const others = ['v1a,AAAA', `v1,${'A'.repeat(43)}=`, 'x'];
    for (const list of [
      [...others, genuine].join(' '),
      [genuine, ...others].join(' '),
      [...others, genuine],
      [...others, ...others, genuine].join(', '),
    ]) {
      expect(await verdict({ ...withHeaders(delivery(), { 'webhook-signature': list }), scheme: 'standard' })).toBe(
        'believed',
      );
    }
    const asOther = genuine.replace('v1,', 'v1a,');
    expect(await verdict({ ...withHeaders(delivery(), { 'webhook-signature': asOther }), scheme: 'standard' })).toBe(
      'no_match',
    );
  });

  it('a header that is there twice, or is no time or id, is refused', async () => {
    const twice = [String(NOW), String(NOW)];
    expect(await verdicts(withHeaders(delivery(), { 'webhook-timestamp': twice, 'x-timestamp': twice }))).toEqual(
      everyWay('malformed_headers'),
    );
    const inTwoCases = { ...delivery().headers, 'X-Timestamp': '1' };
    expect(await verdict({ ...delivery(), headers: inTwoCases, scheme: 'didit' })).toBe('malformed_headers');
    for (const [name, value] of [
      ['webhook-timestamp', '1774970000.0'],
      ['webhook-timestamp', '-1'],
      ['webhook-timestamp', '0x69CBE950'],
      ['webhook-id', 'evt.1'],
    ] as const) {
      expect(await verdict({ ...withHeaders(delivery(), { [name]: value }), scheme: 'standard' })).toBe(
        'malformed_headers',
      );
    }
  });
});

describe('bodies that are signed, and no events', () => {
  const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
  const event = (more: string) => `{"timestamp":${NOW},"webhook_type":"status.updated"${more}}`;

  /** Whatever bytes, signed by all headers. */
  function signed(body: string | Buffer): Sent {
    const headers = signWebhook({
      eventId: EVENT.event_id,
      webhookType: 'status.updated',
      body,
      timestampSeconds: NOW,
      attempt: 1,
      secrets: [SECRET],
    });
    return {
      headers,
      body: typeof body === 'string' ? body : new Uint8Array(body),
      secrets: diditSecret(SECRET),
      now: NOW,
    };
  }

  it.each<[string, string | Buffer]>([
    ['no JSON', 'hello'],
    ['nothing', ''],
    ['two documents', `${event('')}${event('')}`],
    ['an open string', '{"webhook_type":"status.updated'],
    ['null', 'null'],
    ['an array', `[${event('')}]`],
    ['no type', `{"timestamp":${NOW}}`],
    ['a type that is no text', `{"timestamp":${NOW},"webhook_type":7}`],
    ['a byte order mark', `\ufeff${event('')}`],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from(event(',"a":"')), Buffer.from([0xff]), Buffer.from('"}')])],
    ['a key twice', event(',"status":"Approved","status":"Declined"')],
    ['a key twice, far apart and deep', event(',"a":[{"b":{"c":1,"d":[{"c":2}],"c":3}}]')],
    ['a key twice, once escaped', event(',"status":"Approved","\\u0073tatus":"Declined"')],
    ['a key twice, with space around', event(',"a" : 1,\n"a"\t: 2')],
    ['__proto__', event(',"__proto__":{"status":"Approved"}')],
    ['__proto__, escaped and deep', event(',"a":[{"\\u005f_proto__":1}]')],
    ['nesting without end', event(`,"a":${deep(100_000)}`)],
    ['a level too many', event(`,"a":${deep(256)}`)],
    ['a key that is no string', event(',"\\x":1')],
  ])('%s', async (_what, body) => {
    expect(await verdicts(signed(body))).toEqual(everyWay('malformed_body'));
  });

  it.each([
    ['quotation marks, colons and brackets inside text', event(',"a":"\\"b\\":{[","b":["\\"a\\":","x"],"c":{"a":"a"}')],
    ['the same key in two objects', event(',"a":{"a":1},"b":{"a":1}')],
    ['every level that is allowed', event(`,"a":${deep(255)}`)],
    ['keys with names of an object’s own', event(',"constructor":1,"toString":2,"hasOwnProperty":3')],
  ])('are told from events with %s', async (_what, body) => {
    expect(await verdicts(signed(body))).toEqual(everyWay('believed'));
    expect(await verifyWebhook(signed(body))).toEqual(JSON.parse(body));
  });

  it('half a character is judged as the bytes that arrived', async () => {
    const body = event(',"a":"\ud800"');
    expect(await verifyWebhook(signed(body))).toHaveProperty('a', '\ufffd');
  });

  it('a body without its own time is refused by Didit’s headers, which sign no other', async () => {
    for (const timestamp of ['', '"timestamp":"1774970000",', '"timestamp":1774970000.5,', '"timestamp":null,']) {
      const sent = signed(`{${timestamp}"webhook_type":"status.updated"}`);
      expect(await verdict({ ...sent, scheme: 'didit' })).toBe('malformed_body');
      expect(await verdict({ ...sent, scheme: 'standard' })).toBe('believed');
    }
  });
});

describe('what an endpoint could be kept busy with', () => {
  const event = (more: string) => `{"timestamp":${NOW},"webhook_type":"status.updated"${more}}`;
  const unsigned = { 'x-timestamp': String(NOW), 'x-signature-v2': 'f'.repeat(64) };
  const asNobody = (body: string | Uint8Array, more: Partial<WebhookToVerify> = {}) =>
    verdict({ headers: unsigned, body, secrets: standardSecret(SECRET), now: NOW, ...more });

  it('a body that is too long is refused, whoever signed it', async () => {
    const body = event(`,"a":"${'é'.repeat(524_300)}"`);
    expect(body.length).toBeLessThan(1_048_576);
    expect(await asNobody(body)).toBe('body_too_large');
    expect(await asNobody(new TextEncoder().encode(body))).toBe('body_too_large');
    expect(await verdict({ ...delivery(), maxBodyBytes: 10 })).toBe('body_too_large');
    const { length } = Buffer.from(delivery().body);
    expect(await verdict({ ...delivery(), maxBodyBytes: length - 1 })).toBe('body_too_large');
    expect(await verdict({ ...delivery(), maxBodyBytes: length })).toBe('believed');
  });

  it('numbers of hundreds of digits are not written out', async () => {
    expect(await asNobody(event(`,"a":[${'1e308,'.repeat(170_000)}1]`))).toBe('malformed_body');
    expect(await asNobody(event(`,"a":[${'1e308,'.repeat(1_740_000)}1]`), { maxBodyBytes: 1e9 })).toBe(
      'malformed_body',
    );
  });

  it('of many signatures the first 16 count, and the body is hashed once for each secret', async () => {
    const genuine = String(delivery().headers['webhook-signature']);
    const others = (count: number) => Array.from({ length: count }, () => `v1,${'A'.repeat(43)}=`);
    const signedBy = (...list: string[]): WebhookToVerify => ({
      ...withHeaders(delivery(), { 'webhook-signature': list.join(' ') }),
      scheme: 'standard',
    });
    expect(await verdict(signedBy('v1a,AAAA', ...others(15), genuine))).toBe('believed');
    const sign = vi.spyOn(crypto.subtle, 'sign');
    const verify = vi.spyOn(crypto.subtle, 'verify');
    expect(await verdict({ ...signedBy(...others(16), genuine), secrets: ['a', standardSecret(SECRET)] })).toBe(
      'no_match',
    );
    expect(sign.mock.calls.length + verify.mock.calls.length).toBe(1);
  });

  it('what is no signature has nothing parsed for it', async () => {
    const parse = vi.spyOn(JSON, 'parse');
    expect(await asNobody('{', { headers: { ...unsigned, 'x-signature-v2': 'f' } })).toBe('no_match');
    expect(parse).not.toHaveBeenCalled();
  });
});

describe('mistakes of the caller’s', () => {
  it.each([
    ['no secrets', []],
    ['an empty secret', ''],
    ['an unset setting', undefined as unknown as string],
    ['one of them unset', [undefined as unknown as string]],
    ['a line end', `${diditSecret(SECRET)}\n`],
    ['whsec_ and nothing', 'whsec_'],
    ['too short a key', `whsec_${Buffer.alloc(16).toString('base64')}`],
    ['too long a key', `whsec_${Buffer.alloc(65).toString('base64')}`],
    ['the other alphabet after whsec_', 'whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_'],
  ])('%s throws a TypeError that shows nothing', async (_what, secrets) => {
    const failure = await verifyWebhook({ ...delivery(), secrets }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TypeError);
    expect((failure as TypeError).message).toMatch(/^secrets: /);
    expect((failure as TypeError).message).not.toContain(diditSecret(SECRET));
  });

  it('a time that is no Unix seconds throws a TypeError', async () => {
    for (const now of [new Date(), Date.now(), Number.NaN, String(NOW)]) {
      await expect(verifyWebhook({ ...delivery(), now: now as number })).rejects.toThrow(/^now: Unix seconds/);
    }
  });

  it('a body that was parsed already throws a TypeError', async () => {
    for (const body of [EVENT, undefined, null, 7, [1, 2]]) {
      await expect(verifyWebhook({ ...delivery(), body: body as unknown as string })).rejects.toThrow(
        /^body: pass the raw/,
      );
    }
  });
});

it('a body that changes while it is verified is the one that was verified', async () => {
  const body = Buffer.from(delivery().body);
  const verifying = verifyWebhook({ ...delivery(), body });
  body.write('Declined', body.indexOf('Approved'));
  expect(await verifying).toEqual(EVENT);
});

it('Standard Webhooks of a secret that is literal text cannot be verified, and Didit’s can', async () => {
  const secret = 'a-literal-secret-of-didit';
  const body = canonicalJson(EVENT);
  const headers = {
    'x-timestamp': String(NOW),
    'x-signature': createHmac('sha256', secret).update(body).digest('hex'),
    ...mapNames(delivery().headers, (name) => (name.startsWith('webhook-') ? name : `not-${name}`)),
  };
  expect(await verdicts({ headers, body, secrets: secret, now: NOW })).toEqual({
    any: 'believed',
    standard: 'no_match',
    didit: 'believed',
  });
});

function mapNames(headers: Record<string, string>, named: (name: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [named(name), value]));
}
