import { createHmac } from 'node:crypto';

import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';

import { canonicalJson, canonicalProblem } from '../../src/crypto/canonical-json.ts';
import { diditSecret, newWebhookSecret, signWebhook, standardSecret } from '../../src/crypto/webhook-signature.ts';
import type { JsonValue } from '../../src/domain/json.ts';
import { verifyInPython } from '../support/python-verifier.ts';
import { compareSignatures, SIGNED_BODIES } from '../support/signed-bodies.ts';

const eventId = '0193a5f0-1111-7abc-8def-0123456789ab';
const current = Buffer.alloc(32, 1);
const previous = Buffer.alloc(32, 2);
const now = () => Math.floor(Date.now() / 1000);
const base = { eventId, webhookType: 'status.updated', body: '{"a":1}', timestampSeconds: 1_774_970_000, attempt: 1 };

/** Headers that the Standard Webhooks library wants by type. */
function standardHeaders(headers: Record<string, string>) {
  const { 'webhook-id': id = '', 'webhook-timestamp': at = '', 'webhook-signature': signature = '' } = headers;
  return { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature };
}

describe('secrets', () => {
  test('a new secret is 32 random bytes in two written forms', () => {
    const secret = newWebhookSecret();
    expect(secret).toHaveLength(32);
    expect(newWebhookSecret().equals(secret)).toBe(false);
    expect(diditSecret(secret)).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(standardSecret(secret)).toBe(`whsec_${secret.toString('base64')}`);
  });
});

describe('signWebhook', () => {
  test('gives every header of an attempt', () => {
    const headers = signWebhook({ ...base, secrets: [current], sessionId: 'sid', status: 'In Review' });
    const hex = (message: string) => createHmac('sha256', diditSecret(current)).update(message).digest('hex');
    expect(headers).toEqual({
      'content-type': 'application/json',
      'user-agent': expect.stringMatching(/^Handoff-Webhooks\/\d+\.\d+\.\d+/),
      'webhook-id': `evt_${eventId}`,
      'webhook-timestamp': '1774970000',
      'webhook-signature': `v1,${createHmac('sha256', current).update(`evt_${eventId}.1774970000.{"a":1}`).digest('base64')}`,
      'webhook-attempt': '1',
      'x-timestamp': '1774970000',
      'x-signature-v2': hex('{"a":1}'),
      'x-signature': hex('{"a":1}'),
      'x-signature-simple': hex('1774970000:sid:In Review:status.updated'),
    });
  });

  test('writes absent parts of the simple signature as empty text', () => {
    const { 'x-signature-simple': simple } = signWebhook({ ...base, secrets: [current] });
    expect(simple).toBe(createHmac('sha256', diditSecret(current)).update('1774970000:::status.updated').digest('hex'));
  });

  test('marks test sends only', () => {
    expect(signWebhook({ ...base, secrets: [current], test: true })['x-didit-test-webhook']).toBe('true');
    expect(signWebhook({ ...base, secrets: [current], test: false })).not.toHaveProperty('x-didit-test-webhook');
  });

  test('in a rotation both secrets verify, and the Didit headers use the one asked for', () => {
    const body = '{"name":"ë 😀"}';
    const signed = (index: number) =>
      signWebhook({ ...base, body, timestampSeconds: now(), secrets: [current, previous], diditSecretIndex: index });
    for (const secret of [current, previous]) {
      const receiver = new Webhook(standardSecret(secret));
      expect(receiver.verify(body, standardHeaders(signed(1)))).toEqual(JSON.parse(body));
    }
    const stranger = new Webhook(standardSecret(newWebhookSecret()));
    expect(() => stranger.verify(body, standardHeaders(signed(1)))).toThrow('No matching signature');
    const verified = [current, previous].flatMap((secret) =>
      [0, 1].map((index) => ({
        body,
        secret: diditSecret(secret),
        signature: signed(index)['x-signature-v2'] ?? '',
      })),
    );
    expect(verifyInPython(verified)).toEqual([true, false, false, true]);
  });

  test('signs a body given as bytes alike', () => {
    const body = '{"name":"ë"}';
    expect(signWebhook({ ...base, body: Buffer.from(body), secrets: [current] })).toEqual(
      signWebhook({ ...base, body, secrets: [current] }),
    );
  });

  test('names the documentation for receivers when it knows where that is', () => {
    const { 'user-agent': agent } = signWebhook({ ...base, secrets: [current], docsUrl: 'https://docs.example/hooks' });
    expect(agent).toMatch(/^Handoff-Webhooks\/\S+ \(\+https:\/\/docs\.example\/hooks\)$/);
    expect(signWebhook({ ...base, secrets: [current] })['user-agent']).toMatch(/^Handoff-Webhooks\/\S+$/);
  });

  test('takes secrets of 24 to 64 bytes, and the first second of all', () => {
    for (const bytes of [24, 64]) {
      expect(() => signWebhook({ ...base, timestampSeconds: 0, secrets: [Buffer.alloc(bytes)] })).not.toThrow();
    }
  });

  test.each([
    ['eventId', { eventId: eventId.toUpperCase() }],
    ['timestampSeconds', { timestampSeconds: 1.5 }],
    ['timestampSeconds', { timestampSeconds: -1 }],
    ['attempt', { attempt: 0 }],
    ['diditSecretIndex', { diditSecretIndex: 1 }],
    ['secrets', { secrets: [Buffer.alloc(23)] as [Buffer] }],
    ['secrets', { secrets: [current, Buffer.alloc(65)] as [Buffer, Buffer] }],
  ])('refuses a wrong %s by name', (name, wrong) => {
    expect(() => signWebhook({ ...base, secrets: [current], ...wrong })).toThrow(new RegExp(`^${name}:`));
  });
});

describe('independent receivers', () => {
  const seed = Date.now() & 0x7fffffff;

  test(
    `all of ${SIGNED_BODIES} random bodies of the profile verify everywhere, seed ${seed}`,
    async () => {
      expect(await compareSignatures(SIGNED_BODIES, seed)).toEqual({
        bodies: SIGNED_BODIES,
        differences: 0,
        rejectedByStandardWebhooks: 0,
        rejectedByReceiver: 0,
        acceptedTampered: 0,
      });
    },
    60_000 + 10 * SIGNED_BODIES,
  );

  test.each<[string, JsonValue]>([
    ['a small decimal', { n: 0.00001 }],
    ['a smaller one', { n: 1e-7 }],
    ['a large whole number', { n: 1e21 }],
    ['keys beyond the basic plane', { '\u{10000}': 1, '\uffff': 2 }],
    ['half a surrogate pair', { s: '\ud800' }],
  ])('Python refuses what the profile keeps out: %s', (_name, value) => {
    const body = canonicalJson(value);
    const headers = signWebhook({ ...base, body, secrets: [current] });
    expect(canonicalProblem(value)).not.toBeNull();
    expect(
      verifyInPython([{ body, secret: diditSecret(current), signature: headers['x-signature-v2'] ?? '' }]),
    ).toEqual([false]);
  });
});
