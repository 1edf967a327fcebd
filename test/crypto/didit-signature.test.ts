import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSignedByDidit, type SignedWebhook } from '../../src/crypto/didit-signature.ts';
import type { JsonValue } from '../../src/domain/json.ts';
import { canonicalObject } from '../support/canonical-arbitrary.ts';
import { signInPython, type SentByDidit } from '../support/python-verifier.ts';

const SECRET = 'kP0cD1H8yqv4mJ2sXw7uT5nB9zRfLgE3aVoQ6iKxYhM';
const OTHER = 'another-secret-of-somebody-else';

/** A webhook as our route gets it, with neither signature. */
const received = (raw: string): SignedWebhook => ({
  rawBody: Buffer.from(raw),
  body: JSON.parse(raw) as JsonValue,
  signature: undefined,
  signatureV2: undefined,
});
const sign = (...bodies: string[]): SentByDidit[] => signInPython(bodies.map((body) => ({ body, secret: SECRET })));
const one = (body: string): SentByDidit => {
  const [sent] = sign(body);
  if (sent === undefined) throw new Error('one body, one webhook');
  return sent;
};
const hmac = (message: string | Buffer, secret = SECRET) => createHmac('sha256', secret).update(message).digest('hex');

test('what Didit signs in Python verifies either way: floats, text of every script, keys in any order', () => {
  const bodies = [
    '{"timestamp":1774970000,"status":"Approved","score":30.0,"deep":{"b":99.50,"a":[1.0,2.5,true,null,-0.25]}}',
    '{"name":"Zoë Müller","city":"東京","mood":"😀","odd":"\\u2028\\u007f","quote":"\\"\\\\/"}',
    '{"z":1,"a":{"_b":[],"A":{}},"m":""}',
  ];
  for (const { raw, signature, signatureV2 } of sign(...bodies)) {
    expect(isSignedByDidit({ ...received(raw), signature }, [SECRET])).toBe(true);
    expect(isSignedByDidit({ ...received(raw), signatureV2 }, [SECRET])).toBe(true);
  }
});

test('whatever the body, both signatures of Python verify', () => {
  const bodies = fc.sample(canonicalObject, { numRuns: 500, seed: 7 }).map((body) => JSON.stringify(body));
  const sent = sign(...bodies);
  expect(sent).toHaveLength(500);
  for (const { raw, signature, signatureV2 } of sent) {
    const webhook = received(raw);
    expect(isSignedByDidit({ ...webhook, signature }, [SECRET]), raw).toBe(true);
    expect(isSignedByDidit({ ...webhook, signatureV2 }, [SECRET]), raw).toBe(true);
  }
});

test('each way has what the other cannot take: JSON written anew, and numbers that languages write differently', () => {
  const { raw, signature, signatureV2 } = one('{"name":"Zoë","score":30.0}');
  const rewritten = `{ "score": 30.0, "name": "Zoë" }`;
  expect(rewritten).not.toBe(raw);
  expect(isSignedByDidit({ ...received(rewritten), signature }, [SECRET])).toBe(false);
  expect(isSignedByDidit({ ...received(rewritten), signature, signatureV2 }, [SECRET])).toBe(true);

  const odd = one('{"tiny":1e-07,"huge":12345678901234567890}');
  expect(isSignedByDidit({ ...received(odd.raw), signatureV2: odd.signatureV2 }, [SECRET])).toBe(false);
  expect(isSignedByDidit({ ...received(odd.raw), ...odd }, [SECRET])).toBe(true);
});

test('any of two secrets will do, and nobody else’s', () => {
  const { raw, signature, signatureV2 } = one('{"status":"Approved"}');
  const webhook = { ...received(raw), signature, signatureV2 };
  expect(isSignedByDidit(webhook, [OTHER, SECRET])).toBe(true);
  expect(isSignedByDidit(webhook, [SECRET, OTHER])).toBe(true);
  expect(isSignedByDidit(webhook, [OTHER])).toBe(false);
  expect(isSignedByDidit(webhook, [])).toBe(false);
});

test('a changed body and a signature that is none are refused', () => {
  const { raw, signature, signatureV2 } = one('{"status":"Declined"}');
  const changed = received(raw.replace('Declined', 'Approved'));
  expect(isSignedByDidit({ ...changed, signature, signatureV2 }, [SECRET])).toBe(false);
  for (const text of ['', 'f', signature.slice(1), `${signature}00`, ` ${signature}`, 'é'.repeat(64), 'g'.repeat(64)]) {
    expect(isSignedByDidit({ ...received(raw), signature: text, signatureV2: text }, [SECRET])).toBe(false);
  }
});

test('the simple signature in another’s place proves nothing', () => {
  const raw = '{"session_id":"s","status":"Approved","timestamp":1774970000,"webhook_type":"status.updated"}';
  const simple = hmac('1774970000:s:Approved:status.updated');
  expect(isSignedByDidit({ ...received(raw), signature: simple, signatureV2: simple }, [SECRET])).toBe(false);
});

test('a body without bottom is judged by its bytes alone', () => {
  const raw = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const overBytes = hmac(raw);
  expect(isSignedByDidit({ ...received(raw), signatureV2: overBytes }, [SECRET])).toBe(false);
  expect(isSignedByDidit({ ...received(raw), signature: overBytes }, [SECRET])).toBe(true);
});
