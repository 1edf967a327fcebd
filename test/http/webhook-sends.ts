import { deliveryLedger } from '../../src/postgres/deliveries.ts';
import { attemptDelivery, type AttemptTools } from '../../src/webhooks/attempt-delivery.ts';
import { KEYS, type TestApi } from './api.ts';
import { testSealer } from '../support/app-parts.ts';

/** One webhook as it reached its receiver. */
export interface Sent {
  readonly url: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A receiver that answers with this status, and what it got. */
export function receiver(status: number): { readonly tools: AttemptTools; readonly sent: Sent[] } {
  const sent: Sent[] = [];
  const reply = { kind: 'reply', status, retryAfter: null, webhookDelivery: null, locationHost: null } as const;
  const about = { bodyHead: `answer ${status}`, bodyTruncated: false, connectedIp: '192.0.2.1', durationMs: 12 };
  const poster: AttemptTools['poster'] = {
    post: ({ url, body, headers }) => {
      sent.push({ url, body: String(body), headers });
      return Promise.resolve({ ...reply, ...about });
    },
    close: () => Promise.resolve(),
  };
  return {
    tools: { poster, shareTokenKeys: KEYS, mediaUrl: () => 'http://files.test/', docsUrl: 'http://docs.test/' },
    sent,
  };
}

/** One look of the sender: everything that is due goes to a receiver with this answer. */
export async function sendAll(api: TestApi, status: number): Promise<Sent[]> {
  const ledger = deliveryLedger(api.tenants, testSealer);
  const { tools, sent } = receiver(status);
  for (const claimed of (await ledger.claimDue(100)).claimed)
    await ledger.record(await attemptDelivery(claimed, tools));
  return sent;
}

/** Looks until something was due, and sends it. */
export async function sendSoon(api: TestApi, status: number): Promise<Sent[]> {
  for (let tries = 0; tries < 100; tries += 1) {
    const sent = await sendAll(api, status);
    if (sent.length > 0) return sent;
  }
  throw new Error('nothing was due');
}
