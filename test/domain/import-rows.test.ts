import { describe, expect, it } from 'vitest';
import { readRow } from '../../src/domain/import-rows.ts';

const line = (text: string) => readRow('user_verification', null, { row: 7, text });

describe('a line of NDJSON', () => {
  it.each([
    ['{"external_id":"a","external_id":"b"}', 'external_id: It stands there twice: send it once.'],
    [
      '{"metadata":{"n":12345678901234567890}}',
      'metadata.n: It is a whole number beyond 2^53 - 1: send it as a string.',
    ],
    ['{"a":1e400}', 'a: It is a number beyond all bounds: send it as a string.'],
    ['{"a":{"__proto__":1}}', 'a: It has the key __proto__: rename it.'],
    ['{"a":"\\ud800"}', 'a: It holds NUL or half a surrogate pair: remove it.'],
    ['{"a":1', 'The line is not JSON: send one JSON value.'],
    ['[]', 'The line is not a JSON object: write one decision document on it.'],
  ])('%s is a bad row, told as it stood there', (text, error) => {
    expect(line(text)).toEqual({ ok: false, bad: { row: 7, externalId: null, error, raw: text === '[]' ? [] : text } });
  });
});

describe('a cell of JSON', () => {
  it('is read as strictly', () => {
    const cells = ['a', 'Approved', '{"a":1,"a":2}', '{'];
    const row = readRow('user_verification', ['external_id', 'status', 'metadata_json', 'decision_json'], {
      row: 2,
      cells,
    });
    expect(row).toMatchObject({
      ok: false,
      bad: {
        externalId: 'a',
        error: expect.stringMatching(/metadata_json: a: It stands there twice.*decision_json: It is not JSON/),
      },
    });
  });
});
