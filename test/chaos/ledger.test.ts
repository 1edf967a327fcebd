import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LEDGER_FILES, openLedger, type Call, type Heard } from '../../chaos/ledger.ts';

const CALL: Call = {
  wish: 'mint',
  as: 'brand',
  method: 'POST',
  path: '/v3/session/1/share/',
  idempotencyKey: null,
  tokenId: null,
  status: 201,
  replayed: false,
  body: { share_token: 'ä.b.c' },
  unexpected: null,
  at: 1,
  ms: 2,
};
const HEARD: Heard = { as: 'brand', rawBody: '{"note":"ü"}', headers: { 'webhook-id': '1' }, status: 200, at: 3 };

test('what was noted is in its file at once, and is read back whole', () => {
  const folder = mkdtempSync(join(tmpdir(), 'handoff-ledger-'));
  const ledger = openLedger(folder);
  try {
    const calls = [CALL, { ...CALL, body: null, status: null }, { ...CALL, body: { share_token: 'd' } }];
    for (const call of calls) ledger.note(call);
    ledger.hear(HEARD);
    ledger.hear({ ...HEARD, rawBody: '' });
    const lines = readFileSync(join(folder, LEDGER_FILES.calls), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(calls);
    expect(ledger.calls.map((call) => ({ ...call }))).toEqual(calls);
    expect(ledger.heard.map((one) => ({ ...one }))).toEqual([HEARD, { ...HEARD, rawBody: '' }]);
  } finally {
    ledger.close();
    rmSync(folder, { recursive: true });
  }
});
