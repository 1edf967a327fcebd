import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { attemptDelivery, type AttemptTools } from '../../src/webhooks/attempt-delivery.ts';
import type { WebhookPost } from '../../src/webhooks/http-post.ts';
import type { ClaimedDelivery } from '../../src/webhooks/ports.ts';
import { claimedDelivery } from '../support/claimed-delivery.ts';

const delivery = claimedDelivery({ eventType: 'share.received' });
const token: ClaimedDelivery['token'] = {
  kid: 'k',
  claims: {
    session_id: randomUUID(),
    session_kind: 'user',
    from_application_id: randomUUID(),
    for_application_id: randomUUID(),
    iat: 1_790_000_000,
    exp: 1_790_003_600,
    jti: randomUUID(),
  },
};

/** What is recorded of an attempt whose receiver sends its request back, body and `location`; and what was posted. */
async function echoed(more: Partial<ClaimedDelivery>) {
  const posts: WebhookPost[] = [];
  const tools: AttemptTools = {
    shareTokenKeys: parseKeyRing(`k:${Buffer.alloc(32, 7).toString('base64url')}`),
    mediaUrl: () => '',
    docsUrl: 'https://handoff.example/docs/',
    poster: {
      post: async (post) => {
        posts.push(post);
        return {
          kind: 'reply',
          status: 302,
          retryAfter: null,
          webhookDelivery: null,
          locationHost: 'echo.example',
          bodyHead: String(post.body),
          bodyTruncated: false,
          connectedIp: '203.0.113.5',
          durationMs: 3,
        };
      },
      close: async () => {},
    },
  };
  return { record: await attemptDelivery({ ...delivery, ...more }, tools), posts };
}

it('keeps nothing that a receiver of a share token chose, as it may be the token', async () => {
  const { record, posts } = await echoed({ token });
  expect(String(posts[0]?.body)).toContain('"share_token":"ey');
  expect(record).toMatchObject({ responseStatus: 302, responseHead: null, locationHost: null });
});

it('keeps what any other receiver answered', async () => {
  const { record, posts } = await echoed({});
  expect(record).toMatchObject({ responseHead: String(posts[0]?.body), locationHost: 'echo.example' });
});

it('goes over its destination’s own connections', async () => {
  expect((await echoed({})).posts).toMatchObject([{ destinationId: delivery.destinationId, url: delivery.url }]);
});

it('waits when the key of its share token is gone, whose revocation is on its way', async () => {
  const { record, posts } = await echoed({ token: { ...token, kid: 'removed' } });
  expect(posts).toEqual([]);
  expect(record).toMatchObject({ state: 'retrying', reason: 'signing_key_removed' });
  expect(record.retryInMs).toBeGreaterThan(0);
});

it('signs and dates by the database’s clock, whatever the sender’s own says', async () => {
  const { posts } = await echoed({ claimedAtMs: Date.now() - 600_000 });
  const stamp = Number(posts[0]?.headers['webhook-timestamp']);
  expect(Math.abs(Date.now() / 1_000 - 600 - stamp)).toBeLessThan(60);
});
