import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import type { AttemptTools } from '../../src/webhooks/attempt-delivery.ts';
import type { AttemptRecord, DeliveryLedger, DueDeliveries } from '../../src/webhooks/ports.ts';
import { startSender, type Sender, type SenderOptions } from '../../src/webhooks/sender.ts';
import { ANSWERED, claimedDelivery } from '../support/claimed-delivery.ts';

const NEVER = 3_600_000;
const delivery = (url: string) => claimedDelivery({ url, eventType: 'share.minted' });

const running: Sender[] = [];
const hanging: (() => void)[] = [];
afterEach(async () => {
  hanging.splice(0).forEach((answer) => answer());
  await Promise.all(running.splice(0).map((sender) => sender.stop()));
});

/** A sender over a line of URLs; those at `https://slow` are answered when the test says so. */
function send(line: string[], options: Partial<SenderOptions> = {}, what: Partial<DueDeliveries> = {}) {
  const seen = {
    looks: [] as number[],
    recorded: [] as AttemptRecord[],
    sent: [] as string[],
    errors: [] as unknown[],
  };
  let failing = 0;
  const ledger: DeliveryLedger = {
    claimDue: (limit) => {
      seen.looks.push(limit);
      if (failing > 0) {
        failing -= 1;
        return Promise.reject(new Error('no database'));
      }
      return Promise.resolve({ claimed: line.splice(0, limit).map(delivery), more: false, busy: false, ...what });
    },
    claimOne: () => Promise.reject(new Error('a sender has no run')),
    record: (record) => Promise.resolve(void seen.recorded.push(record)),
  };
  const tools: AttemptTools = {
    shareTokenKeys: parseKeyRing(`k:${Buffer.alloc(32, 1).toString('base64url')}`),
    mediaUrl: () => '',
    docsUrl: '',
    poster: {
      post: async ({ url }) => {
        seen.sent.push(url);
        if (url.startsWith('https://slow')) await new Promise<void>((resolve) => hanging.push(resolve));
        return ANSWERED;
      },
      close: () => Promise.resolve(),
    },
  };
  const sender = startSender(ledger, tools, { onError: (error) => seen.errors.push(error), ...options });
  running.push(sender);
  return { ...seen, sender, fail: (times: number) => (failing = times) };
}

const urls = (host: string, count: number) => Array.from({ length: count }, (_, n) => `https://${host}.example/${n}`);

describe('a sender', () => {
  it('goes on with others while slow ones fill more than its fresh attempts', async () => {
    const { sent, recorded } = send([...urls('slow', 12), ...urls('fast', 20)], {
      maxFresh: 4,
      maxInFlight: 40,
      freshMs: 20,
      pollMs: NEVER,
    });
    await expect.poll(() => recorded.length).toBe(20);
    expect(sent).toHaveLength(32);
    expect(recorded.every(({ state }) => state === 'delivered')).toBe(true);
  });

  it('never takes more than it has places, however slow they are', async () => {
    const { looks, sent, sender } = send(urls('slow', 30), { maxFresh: 4, maxInFlight: 10, freshMs: 10, pollMs: 15 });
    await expect.poll(() => sent.length).toBe(10);
    await pause(60);
    sender.wake();
    await pause(10);
    expect(sent).toHaveLength(10);
    expect(Math.max(...looks)).toBe(4);
    hanging.splice(0, 3).forEach((answer) => answer());
    await expect.poll(() => sent.length).toBe(13);
  });

  it('looks again at once when a destination had more and an attempt has ended', async () => {
    const line = urls('slow', 1);
    const { looks, recorded } = send(line, { pollMs: NEVER }, { more: true });
    await expect.poll(() => hanging.length).toBe(1);
    await pause(30);
    const before = looks.length;
    line.push(...urls('fast', 1));
    hanging.splice(0).forEach((answer) => answer());
    await expect.poll(() => recorded.length).toBe(2);
    expect(looks.length).toBeGreaterThan(before);
  });

  it('does not look when an attempt has ended and nothing more was there', async () => {
    const { looks, recorded } = send(urls('slow', 1), { pollMs: NEVER });
    await expect.poll(() => hanging.length).toBe(1);
    await pause(30);
    const before = looks.length;
    hanging.splice(0).forEach((answer) => answer());
    await expect.poll(() => recorded.length).toBe(1);
    await pause(30);
    expect(looks).toHaveLength(before);
  });

  it('looks again in a moment when another process was looking', async () => {
    const { looks } = send([], { pollMs: NEVER }, { busy: true });
    await expect.poll(() => looks.length).toBeGreaterThan(3);
  });

  it('goes on after an error, at the next poll', async () => {
    const line = urls('fast', 1);
    const { errors, recorded, fail } = send(line, { pollMs: 10 });
    await expect.poll(() => recorded.length).toBe(1);
    fail(2);
    await expect.poll(() => errors.length).toBe(2);
    line.push(...urls('fast', 1));
    await expect.poll(() => recorded.length).toBe(2);
  });

  it('that is stopped takes nothing more and waits for what is under way', async () => {
    const line = urls('slow', 2);
    const { looks, recorded, sender } = send(line, { pollMs: 10 });
    await expect.poll(() => hanging.length).toBe(2);
    let stopped = false;
    const stopping = sender.stop().then(() => (stopped = true));
    await pause(20);
    expect(stopped).toBe(false);
    const before = looks.length;
    line.push(...urls('fast', 1));
    hanging.splice(0).forEach((answer) => answer());
    await stopping;
    expect(recorded).toHaveLength(2);
    expect(looks).toHaveLength(before);
  });
});
