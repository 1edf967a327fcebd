import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { PayloadUnreadable, plainSealer } from '../../src/crypto/payload-seal.ts';
import type { JsonValue } from '../../src/domain/json.ts';

const context = { applicationId: 'app', sessionId: 'ses', category: 'id_verifications', position: 0 };

describe('plainSealer', () => {
  test('opens what it sealed, in another session of the same category and position too', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const sealed = plainSealer.sealPayload(context, value as JsonValue);
        const inClone = { ...context, applicationId: 'other', sessionId: 'clone' };
        expect(plainSealer.openPayload(inClone, sealed)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('writes the version byte and UTF-8 JSON', () => {
    expect(plainSealer.sealPayload(context, { a: 'ë' })).toEqual(Buffer.from('\u0000{"a":"ë"}'));
  });

  test.each([
    ['another version', Buffer.from([1, 0x7b, 0x7d]), 'unknown_version', /version 0x01/],
    ['no bytes', Buffer.alloc(0), 'malformed', /empty/],
    ['bytes cut short', Buffer.from('\u0000{"name":"Quix'), 'malformed', /not JSON/],
  ])('refuses %s, names the row and no content', (_name, sealed, code, message) => {
    let caught: unknown;
    try {
      plainSealer.openPayload(context, sealed);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(PayloadUnreadable);
    expect(caught).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(caught).toMatchObject({ message: expect.stringContaining('id_verifications[0] of session ses') });
    expect(String(caught)).not.toContain('Quix');
  });
});
