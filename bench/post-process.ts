import { randomBytes } from 'node:crypto';
import { Pool } from 'undici';
import { memberLines } from '../src/crypto/canonical-members.ts';
import { parseKeyRing } from '../src/crypto/key-ring.ts';
import type { JsonObject } from '../src/domain/json.ts';
import { attemptDelivery } from '../src/webhooks/attempt-delivery.ts';
import { createWebhookPoster } from '../src/webhooks/http-post.ts';
import { claimedDelivery } from '../test/support/claimed-delivery.ts';
import { inFlight } from './in-flight.ts';
import type { PostOutcome, PostWork } from './posts.ts';

// Made once, as a sender does: connections stay from turn to turn, and compiled code is that of these.
const poster = createWebhookPoster({ allowHttp: true, allowedPorts: 'any', allowedCidrs: ['127.0.0.0/8'] });
const shareTokenKeys = parseKeyRing(`bench-1:${randomBytes(32).toString('base64url')}`);
const attemptTools = { poster, shareTokenKeys, mediaUrl: () => '', docsUrl: 'https://handoff.example/docs/' };
let pool: Pool | null = null;

/** Posts by undici alone, and reads the answers. */
async function byUndici({ targets, perTarget, headers, body, count }: PostWork): Promise<PostOutcome> {
  const [first = ''] = targets;
  const connections = targets.length * perTarget;
  const kept = (pool ??= new Pool(new URL(first).origin, { connections, pipelining: 1 }));
  const paths = new Map(targets.map((url) => [url, new URL(url).pathname]));
  const bytes = Buffer.from(body);
  return toEach({ targets, perTarget, count }, async (url) => {
    const answer = await kept.request({ method: 'POST', path: paths.get(url) ?? '', headers, body: bytes });
    await answer.body.dump();
    if (answer.statusCode !== 204) throw new Error(`the receiver answered ${answer.statusCode}`);
  });
}

/** Makes the service's own attempts: composed, signed, guarded, bounded in time and size, and judged. */
async function byAttempts({ targets, perTarget, body, count }: PostWork): Promise<PostOutcome> {
  const content = JSON.parse(body) as JsonObject;
  const eventType = String(content['webhook_type']);
  // As an event keeps it.
  const payload = memberLines(content);
  return toEach({ targets, perTarget, count }, async (url) => {
    const delivery = claimedDelivery({ eventType, payload, url, destinationId: url });
    const { state } = await attemptDelivery(delivery, attemptTools);
    if (state !== 'delivered') throw new Error(`an attempt ended as ${state}`);
  });
}

/** Posts so many times, to all targets at once and to each `perTarget` at a time. */
async function toEach(
  { targets, perTarget, count }: Pick<PostWork, 'targets' | 'perTarget' | 'count'>,
  post: (url: string) => Promise<void>,
): Promise<PostOutcome> {
  const begun = performance.now();
  const cpuBefore = process.cpuUsage();
  await Promise.all(
    targets.map((url, at) => {
      const share = Math.floor((count + targets.length - 1 - at) / targets.length);
      return inFlight(Array<string>(share).fill(url), perTarget, post);
    }),
  );
  const { user, system } = process.cpuUsage(cpuBefore);
  return { seconds: (performance.now() - begun) / 1000, cpuMs: (user + system) / 1000 };
}

process.on('message', (work: PostWork) => {
  const posting = work.by === 'undici' ? byUndici(work) : byAttempts(work);
  posting.then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => process.send?.({ failed: String((error as Error).stack ?? error) }),
  );
});

// Connections that are kept would hold the process.
process.once('disconnect', () => void Promise.all([poster.close(), pool?.close()]));
