import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { verifyWebhook } from '../../src/receiver/index.ts';
import { canonicalObject } from '../support/canonical-arbitrary.ts';
import { DIDIT_SECRET, personEvent } from '../support/didit-webhooks.ts';
import { signInPython, type SentByDidit } from '../support/python-verifier.ts';

const NOW = 1_774_970_000;
const member = (more: string) => `{"timestamp":${NOW},"webhook_type":"status.updated"${more}}`;
const sign = (...bodies: string[]): SentByDidit[] =>
  signInPython(bodies.map((body) => ({ body, secret: DIDIT_SECRET })));

/** Verified by one of Didit's two signatures alone. */
function verdict(body: string, signed: { signature?: string; signatureV2?: string }): Promise<string> {
  const headers = {
    'X-Timestamp': String(NOW),
    ...(signed.signature !== undefined && { 'X-Signature': signed.signature }),
    ...(signed.signatureV2 !== undefined && { 'X-Signature-V2': signed.signatureV2 }),
  };
  return verifyWebhook({ headers, body, secrets: DIDIT_SECRET, now: NOW }).then(
    () => 'believed',
    (error: { code?: string }) => error.code ?? String(error),
  );
}

/** How both signatures are judged, each alone. */
async function bothWays({ raw, signature, signatureV2 }: SentByDidit): Promise<[string, string]> {
  return [await verdict(raw, { signature }), await verdict(raw, { signatureV2 })];
}

it('a real delivery of Didit’s verifies by both signatures: escaped on the wire, signed in literal UTF-8', async () => {
  const event: JsonObject = personEvent('4af8', { timestamp: NOW, vendor_data: 'Zoë 例沢 😀' });
  const [sent] = sign(JSON.stringify(event));
  if (sent === undefined) throw new Error('one body, one webhook');
  expect(sent.raw).toContain('\\u4f8b');
  expect(sent.signature).not.toBe(sent.signatureV2);
  expect(await bothWays(sent)).toEqual(['believed', 'believed']);
  const headers = { 'x-timestamp': String(NOW), 'x-signature-v2': sent.signatureV2, 'x-signature': sent.signature };
  expect(await verifyWebhook({ headers, body: sent.raw, secrets: ['of-another', DIDIT_SECRET], now: NOW })).toEqual(
    event,
  );
});

it.each([
  ['floats', ',"score":30.0,"deep":{"b":99.50,"a":[1.0,2.5,true,null,-0.25,-0.0,1E2]}'],
  ['text of every script', ',"city":"東京","mood":"😀","odd":"\\u2028\\u007f\\u0000","quote":"\\"\\\\\\/"'],
  ['keys in any order, of numbers too', ',"z":1,"a":{"_b":[],"A":{}},"10":1,"9":2,"":3'],
  ['keys beyond the basic plane', ',"\\ud83d\\ude00":1,"\\uffff":2,"a":3,"a\\ud83d\\ude00":4,"a\\ue000":5'],
  ['small decimals', ',"n":[1e-05,0.00001234,1e-07,5e-324,-1.5e-10,0.0001,1e-100]'],
  ['large numbers', ',"n":[1e21,9.99e21,-1e21,9007199254740993.0,123456789012345680]'],
])('verifies by both signatures: %s', async (_what, more) => {
  for (const sent of sign(member(more))) expect(await bothWays(sent)).toEqual(['believed', 'believed']);
});

it('whatever the body, both signatures of Python verify, and neither with a letter changed', async () => {
  const bodies = fc
    .sample(canonicalObject, { numRuns: 300, seed: 7 })
    .map((random) => JSON.stringify({ ...random, timestamp: NOW, webhook_type: 'status.updated', status: 'Declined' }));
  const sent = sign(...bodies);
  expect(sent).toHaveLength(300);
  for (const each of sent) {
    expect(await bothWays(each), each.raw).toEqual(['believed', 'believed']);
    const raw = each.raw.replace('"Declined"', '"Approved"');
    expect(await bothWays({ ...each, raw }), each.raw).toEqual(['no_match', 'no_match']);
  }
});

it('JSON that is written anew on its way verifies by V2 alone', async () => {
  const [sent] = sign(member(',"name":"Zoë","score":30.0'));
  const raw = `{ "webhook_type": "status.updated", "score": 30.0, "name": "Zoë", "timestamp": ${NOW} }`;
  expect(await verdict(raw, { signature: sent?.signature ?? '' })).toBe('no_match');
  expect(await verdict(raw, { signatureV2: sent?.signatureV2 ?? '' })).toBe('believed');
  expect(await verdict(raw, sent ?? {})).toBe('believed');
});

it('a number that is written in no one way verifies by its bytes alone', async () => {
  for (const sent of sign(...['1e22', '-1e22', '1.5e300'].map((huge) => member(`,"a":[{"huge":${huge}}]`)))) {
    expect(await bothWays(sent)).toEqual(['believed', 'malformed_body']);
  }
});

it('a number that cannot be read exactly verifies by its bytes alone: V2 would cover another value', async () => {
  const [sent] = sign(member(',"huge":12345678901234567890'));
  if (sent === undefined) throw new Error('one body, one webhook');
  expect(await bothWays(sent)).toEqual(['believed', 'no_match']);
});
