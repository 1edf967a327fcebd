import { randomUUID } from 'node:crypto';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { answerOf } from '../../src/sharing/share-answer.ts';
import { partiesOf, receivedEvent } from '../../src/sharing/share-events.ts';
import type { HandoffTransaction } from '../../src/sharing/ports.ts';
import type { AttemptTools } from '../../src/webhooks/attempt-delivery.ts';
import type { PostOutcome } from '../../src/webhooks/http-post.ts';
import type { ClaimedDelivery, TokenDeliveryLedger } from '../../src/webhooks/ports.ts';
import type { ShareRows } from './fake-share-rows.ts';

/** What a receiver does with an attempt: an HTTP status, no reply at all, or an address that our guard forbids. */
export type Reply = number | 'no_reply' | 'blocked_address';

/** One webhook destination of the partner; `attempt` counts from 1. */
export type Destination = (attempt: number) => Reply | Promise<Reply>;

/** One attempt that a destination saw. */
export interface SeenAttempt {
  readonly destination: number;
  readonly withToken: boolean;
}

const KEYS = parseKeyRing(`test:${Buffer.alloc(32, 1).toString('base64url')}`);
const SECRET = Buffer.alloc(32, 2);
const ENDED = new Set(['delivered', 'gone', 'blocked', 'aborted', 'exhausted', 'stopped']);

/** The outbound network of the deliver step: destinations by their host name. */
export function fakeNetwork(destinations: readonly Destination[], seen: SeenAttempt[]): AttemptTools {
  return {
    shareTokenKeys: KEYS,
    mediaUrl: ({ mediaId }) => `http://files.test/${mediaId}/`,
    docsUrl: 'http://docs.test/',
    poster: {
      post: async ({ url, body }) => {
        const destination = Number(new URL(url).hostname.split('.')[0]?.slice(1));
        seen.push({ destination, withToken: body.includes('"share_token"') });
        const attempt = seen.filter((one) => one.destination === destination).length;
        const reply = await destinations[destination]?.(attempt);
        return outcomeOf(reply ?? 'no_reply');
      },
      close: () => Promise.resolve(),
    },
  };
}

function outcomeOf(reply: Reply): PostOutcome {
  const about = { connectedIp: null, durationMs: 1 };
  if (typeof reply === 'number') {
    return {
      kind: 'reply',
      status: reply,
      retryAfter: null,
      webhookDelivery: null,
      locationHost: null,
      bodyHead: '',
      bodyTruncated: false,
      ...about,
    };
  }
  const code = reply === 'blocked_address' ? 'egress_blocked' : 'timeout';
  return { kind: 'failure', code, message: code, ...about };
}

/** `src/postgres/token-deliveries.ts` over the rows of a fake share. */
export function fakeLedger(
  rows: () => ShareRows,
  destinations: readonly Destination[],
  transaction: <T>(work: (tx: HandoffTransaction) => Promise<T>) => Promise<T>,
): TokenDeliveryLedger {
  return {
    begin: (tokenId) =>
      transaction(async (tx) => {
        const share = await tx.shares.look(tokenId);
        const token = share?.token ?? null;
        if (share === null || token === null) return { open: false, over: true };
        const acceptance = share.onboarding?.acceptance ?? 'acknowledge';
        const withToken = acceptance !== 'automatic';
        const { state } = answerOf(share);
        if (withToken && state === 'acknowledged') return { open: false, over: false };
        if (state !== 'open' && (withToken || state !== 'redeemed')) return { open: false, over: true };
        const parties = partiesOf(share);
        const event = receivedEvent(parties, { expiresAt: token.expiresAt, acceptance, withToken });
        tx.events.insert([event], { kind: 'onboarding', id: tokenId });
        const { deliveries } = rows();
        for (const destination of destinations.keys()) {
          if (deliveries.some((row) => row.event === event.dedupeKey && row.destination === destination)) continue;
          deliveries.push({ id: randomUUID(), event: event.dedupeKey, destination, state: 'new', attempts: 0 });
        }
        const claimed = deliveries.filter(({ state, event: key }) => key === event.dedupeKey && !ENDED.has(state));
        for (const row of claimed) row.attempts += 1;
        return {
          open: true,
          withToken,
          opensInMs: null,
          deliveries: claimed.map((row): ClaimedDelivery => ({
            deliveryId: row.id,
            attemptId: randomUUID(),
            trigger: 'auto',
            scheduledSoFar: row.attempts,
            scheduleAttempt: row.attempts,
            sequence: 1,
            diditHeadersSignedWith: 'previous' as const,
            attempt: row.attempts,
            eventId: randomUUID(),
            eventType: event.type,
            applicationId: parties.partnerId,
            destinationId: String(row.destination),
            createdAt: token.issuedAt,
            claimedAtMs: Date.now(),
            payload: JSON.stringify(event.body),
            media: null,
            url: `https://d${row.destination}.partner.example/`,
            payloadMode: 'full',
            secrets: [SECRET],
            token: withToken
              ? {
                  kid: token.kid,
                  claims: {
                    session_id: parties.sessionId,
                    session_kind: parties.sessionKind,
                    from_application_id: parties.issuerId,
                    for_application_id: parties.partnerId,
                    iat: token.issuedAt,
                    exp: token.expiresAt,
                    jti: tokenId,
                  },
                }
              : null,
          })),
        };
      }),
    finish: (tokenId, { withToken }, records) =>
      transaction(async (tx) => {
        const { deliveries } = rows();
        for (const { deliveryId, state } of records) {
          const row = deliveries.find(({ id }) => id === deliveryId);
          if (row !== undefined && !ENDED.has(row.state)) row.state = state;
        }
        if (withToken && records.some(({ state }) => state === 'delivered')) {
          tx.onboardings.advance(tokenId, 'waiting');
        }
        const ours = deliveries.filter(({ event }) => event.endsWith(withToken ? ':token' : ':notice'));
        const states = ours.map(({ state }) => state);
        return {
          delivered: states.filter((state) => state === 'delivered').length,
          pending: states.filter((state) => !ENDED.has(state)).length,
          failedStates: states.filter((state) => ENDED.has(state) && state !== 'delivered'),
        };
      }),
  };
}
