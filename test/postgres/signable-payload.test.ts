import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, canonicalProblem } from '../../src/crypto/canonical-json.ts';
import { memberLines } from '../../src/crypto/canonical-members.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { MAX_PAYLOAD_BYTES, signablePayload } from '../../src/postgres/signable-payload.ts';
import { canonicalObject } from '../support/canonical-arbitrary.ts';
import { hostileJson } from '../support/hostile-json.ts';

const HEAD = { webhook_type: 'status.updated', session_id: '0199a3c4-1111-7aaa-8bbb-0123456789ab', status: 'Approved' };

describe('a payload', () => {
  it('is kept as it is when it can be signed', () => {
    fc.assert(
      fc.property(canonicalObject, (decision) => {
        const body = { ...HEAD, decision };
        expect(signablePayload(body)).toEqual({ body, text: canonicalJson(body), lines: memberLines(body) });
      }),
    );
  });

  it('can be signed whatever its customers put into it, and says what it is without', () => {
    const members = ['decision', 'changes', 'metadata', 'vendor_data', 'partner_reason', 'reason', 'label'];
    const body = fc.record(Object.fromEntries(members.map((name) => [name, hostileJson])), { requiredKeys: [] });
    let whole = 0;
    let thinner = 0;
    fc.assert(
      fc.property(body, (hostile) => {
        const given = { ...hostile, ...HEAD } as JsonObject;
        const { body: payload, text } = signablePayload(given);
        expect(canonicalProblem(payload)).toBeNull();
        expect(text).toBe(canonicalJson(payload));
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES);
        const there = Object.entries(given).map(([name, value]) =>
          Object.hasOwn(payload, name) ? [name, value] : [`${name}_omitted`, true],
        );
        expect(payload).toEqual(Object.fromEntries(there));
        expect(payload).toMatchObject(HEAD);
        if (Object.keys(payload).some((name) => name.endsWith('_omitted'))) thinner += 1;
        else whole += 1;
      }),
      { numRuns: 400 },
    );
    expect(Math.min(whole, thinner)).toBeGreaterThan(10);
  });

  it('loses no more than it must: the largest member that fits with the others stays', () => {
    const kib = (count: number) => 'x'.repeat(count * 1024);
    const body = { ...HEAD, decision: { text: kib(40) }, changes: { text: kib(30) }, metadata: { text: kib(20) } };
    const { decision: _left, ...others } = body;
    expect(signablePayload(body).body).toEqual({ ...others, decision_omitted: true });
    const hostile = { ...HEAD, decision: { text: kib(40) }, metadata: { '10': kib(70) } };
    expect(signablePayload(hostile).body).toEqual({
      ...HEAD,
      decision: hostile.decision,
      metadata_omitted: true,
    });
  });
});
