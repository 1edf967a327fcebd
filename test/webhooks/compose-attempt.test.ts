import { describe, expect, it } from 'vitest';
import { memberLines } from '../../src/crypto/canonical-members.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { composeAttempt } from '../../src/webhooks/compose-attempt.ts';
import type { ClaimedDelivery } from '../../src/webhooks/ports.ts';
import { claimedDelivery } from '../support/claimed-delivery.ts';

const tools = {
  shareTokenKeys: parseKeyRing(`k:${Buffer.alloc(32, 7).toString('base64url')}`),
  mediaUrl: () => '',
  docsUrl: 'https://handoff.example/docs/',
};

type Delivery = Omit<Partial<ClaimedDelivery>, 'payload'> & { readonly payload?: JsonObject };

async function compose({ payload = { webhook_type: 'status.updated', status: 'Approved' }, ...more }: Delivery) {
  const delivery = claimedDelivery({ ...more, payload: memberLines(payload) });
  const { body, headers, leftOut } = await composeAttempt(delivery, tools, 1_790_000_005);
  return { headers, leftOut, content: JSON.parse(body.toString()) as JsonObject };
}

describe('an attempt', () => {
  it('says who sends it, and where to read of it', async () => {
    const { headers } = await compose({});
    expect(headers['user-agent']).toMatch(/^Handoff-Webhooks\/\d+\.\d+\.\d+ \(\+https:\/\/handoff\.example\/docs\/\)$/);
  });

  it('is a test when it is a ping, whatever its session’s metadata says', async () => {
    const metadata = { test_webhook: true };
    const real = await compose({ payload: { webhook_type: 'status.updated', metadata } });
    expect(real.headers).not.toHaveProperty('x-didit-test-webhook');
    expect(real.content['metadata']).toEqual(metadata);
    const ping = await compose({ eventType: 'webhook.ping', payload: { webhook_type: 'webhook.ping', metadata } });
    expect(ping.headers['x-didit-test-webhook']).toBe('true');
  });

  it.each<[string, Delivery, string[]]>([
    [
      'a thin one what tells of people',
      { payloadMode: 'thin', payload: { decision: {}, changes: {}, metadata: { name: 'Ada' }, vendor_data: 'crm-1' } },
      ['decision', 'changes', 'metadata'],
    ],
    ['a thin one nothing that is not there', { payloadMode: 'thin', payload: { changes_omitted: true } }, []],
    [
      'a thin ping nothing',
      { eventType: 'webhook.ping', payloadMode: 'thin', payload: { metadata: { test_webhook: true } } },
      [],
    ],
    ['a large one its decision', { payload: { decision: { text: 'x'.repeat(65_536) }, changes: {} } }, ['decision']],
    ['any other one nothing', { payload: { decision: {}, changes: {}, metadata: {} } }, []],
  ])('leaves out of %s, and says so', async (_what, delivery, names) => {
    const { leftOut, content } = await compose(delivery);
    expect(leftOut).toEqual(names);
    for (const name of names) {
      expect(content).not.toHaveProperty(name);
      expect(content[`${name}_omitted`]).toBe(true);
    }
    for (const name of Object.keys(delivery.payload ?? {}))
      if (!names.includes(name)) expect(content).toHaveProperty(name);
  });
});
