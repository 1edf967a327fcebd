import type { JsonObject } from '../domain/json.ts';
import type { ReadableMedia } from '../sharing/ports.ts';
import type { ShareTokenClaims } from '../crypto/share-token.ts';

/** Who wants an attempt: the schedule, or the owner by hand, beside the schedule. */
export type AttemptTrigger = 'auto' | 'manual';

/** One delivery that this process holds for one attempt; the attempt's row is written already. */
export interface ClaimedDelivery {
  readonly deliveryId: string;
  readonly attemptId: string;
  readonly trigger: AttemptTrigger;
  /** 1 for the first attempt of the schedule; one by hand counts those before it, of either sort. */
  readonly attempt: number;
  readonly eventId: string;
  readonly eventType: string;
  readonly destinationId: string;
  /** Unix seconds of the event. */
  readonly createdAt: number;
  readonly payload: JsonObject;
  /** The files of the event's session that its application can read at this moment; null when there is no session. */
  readonly media: (ReadableMedia & { readonly applicationId: string; readonly sessionId: string }) | null;
  readonly url: string;
  readonly payloadMode: 'full' | 'thin';
  /** False once the destination is deleted or, unless by hand, disabled: nothing is sent to it any more. */
  readonly enabled: boolean;
  /** Live secrets, current first. */
  readonly secrets: readonly Buffer[];
  /** What the token is made of again, when this event carries it. */
  readonly token: { readonly kid: string; readonly claims: ShareTokenClaims } | null;
}

/** How a delivery stands after an attempt. */
export type DeliveryState = 'retrying' | 'delivered' | 'gone' | 'blocked' | 'aborted' | 'exhausted' | 'stopped';

/** What one attempt came to, to be recorded. */
export interface AttemptRecord {
  readonly deliveryId: string;
  readonly attemptId: string;
  readonly trigger: AttemptTrigger;
  readonly attempt: number;
  readonly destinationId: string;
  readonly state: DeliveryState;
  /** Milliseconds until the next attempt, when `retrying`. */
  readonly retryInMs: number | null;
  /** A stable code, e.g. `http_500`, `timeout`, `gone`. */
  readonly reason: string;
  /** As sent; null when nothing was. */
  readonly requestHeaders: Readonly<Record<string, string>> | null;
  readonly durationMs: number;
  readonly connectedIp: string | null;
  readonly responseStatus: number | null;
  /** The first 4 KiB of the reply, as text. */
  readonly responseHead: string | null;
  readonly disableDestination: boolean;
}

/** What the sender needs of the database. */
export interface DeliveryLedger {
  /** Takes deliveries whose first attempt is due, with a lease, and the attempts that owners want by hand. */
  claimDue(limit: number): Promise<ClaimedDelivery[]>;
  /** Takes one delivery of a `WebhookDelivery` run; how it stands, when it has ended or somebody else holds it. */
  claimOne(deliveryId: string): Promise<ClaimedDelivery | { readonly ended: boolean; readonly state: string }>;
  /** Records an attempt; a first failure hands the delivery to a `WebhookDelivery` run. */
  record(record: AttemptRecord): Promise<void>;
}

/** A round of `share.received` that may begin, or why not. */
export type TokenRound =
  /** Over for good, or held while an acknowledgement is carried out. */
  | { readonly open: false; readonly over: boolean }
  | { readonly open: true; readonly withToken: boolean; readonly deliveries: readonly ClaimedDelivery[] };

/** How a token's deliveries stand after a round. */
export interface TokenRoundResult {
  readonly delivered: number;
  readonly pending: number;
  /** States of the deliveries that ended without an answer, e.g. `gone`, `blocked`. */
  readonly failedStates: readonly string[];
}

/** The onboarding's own deliveries, which no relay and no `WebhookDelivery` run ever takes. */
export interface TokenDeliveryLedger {
  /** Makes the event and its deliveries when missing, and takes those that have not ended. */
  begin(tokenId: string, attempt: number): Promise<TokenRound>;
  /** Records a round; the first answer moves the onboarding on to waiting. */
  finish(
    tokenId: string,
    round: { readonly withToken: boolean; readonly attempt: number },
    records: readonly AttemptRecord[],
  ): Promise<TokenRoundResult>;
}
