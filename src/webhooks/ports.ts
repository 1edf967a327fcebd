import type { ReadableMedia } from '../sharing/ports.ts';
import type { ShareTokenClaims } from '../crypto/share-token.ts';
import type { RetryHint } from './reply-policy.ts';

/** Who wants an attempt: the schedule, the schedule begun again by its owner, or the owner by hand beside it. */
export type AttemptTrigger = 'auto' | 'replay' | 'manual';

/** Why a destination is switched off without its owner's doing. */
export type DisablingReason = 'gone' | 'receiver' | 'failing' | 'blocked';

/** One delivery that this process holds for one attempt; the attempt's row is written already. */
export interface ClaimedDelivery {
  readonly deliveryId: string;
  readonly attemptId: string;
  readonly trigger: AttemptTrigger;
  /** Its number among all attempts of the delivery, by hand or not, from 1: a later one has a greater number. */
  readonly attempt: number;
  /** Scheduled attempts of the delivery so far, this one included: by it `record` knows the latest. */
  readonly scheduledSoFar: number;
  /** 1 for the first attempt of the schedule, which begins again when a delivery is replayed. */
  readonly scheduleAttempt: number;
  readonly eventId: string;
  readonly eventType: string;
  readonly applicationId: string;
  readonly destinationId: string;
  /** Unix seconds of the event. */
  readonly createdAt: number;
  /** Unix milliseconds by the database's clock, which all senders share, when it was claimed. */
  readonly claimedAtMs: number;
  /** Number of the event among those about its subject that this application has, from 1. */
  readonly sequence: number;
  /** What the event says, as JSON text of the form that it is kept in: see `membersOf`. Empty when `unreadable`. */
  readonly payload: string;
  /** The files of the event's session that its application can read at this moment; null when there is no session. */
  readonly media: (ReadableMedia & { readonly applicationId: string; readonly sessionId: string }) | null;
  readonly url: string;
  readonly payloadMode: 'full' | 'thin';
  /** Live secrets, current first: one, or two during a rotation's grace. */
  readonly secrets: readonly Buffer[];
  /** Which of two live secrets signs Didit's headers. */
  readonly diditHeadersSignedWith: 'previous' | 'current';
  /** What the token is made of again, when this event carries it. */
  readonly token: { readonly kid: string; readonly claims: ShareTokenClaims } | null;
  /** Why it can't be sent: what is stored of it does not open, and is empty here. */
  readonly unreadable?: 'secret_unreadable' | 'payload_unreadable';
}

/** How a delivery stands after an attempt; one that is switched off meanwhile is held instead of `retrying`. */
export type DeliveryState = 'retrying' | 'delivered' | 'gone' | 'blocked' | 'aborted' | 'exhausted' | 'stopped';

/** What one attempt came to, to be recorded. */
export interface AttemptRecord {
  readonly deliveryId: string;
  readonly attemptId: string;
  readonly trigger: AttemptTrigger;
  /** As it was taken. */
  readonly scheduledSoFar: number;
  readonly applicationId: string;
  readonly destinationId: string;
  readonly state: DeliveryState;
  /** Milliseconds until the next attempt, when `retrying`. */
  readonly retryInMs: number | null;
  /** A stable code, e.g. `http_500`, `timeout`, `gone`. */
  readonly reason: string;
  /** As sent; null when nothing was, which says nothing about the receiver. */
  readonly requestHeaders: Readonly<Record<string, string>> | null;
  /** Members of the event's content that the body lacked, each with `<member>_omitted` in its place. */
  readonly leftOut: readonly string[];
  readonly durationMs: number;
  readonly connectedIp: string | null;
  readonly responseStatus: number | null;
  /** The first 4 KiB of the reply, as text. */
  readonly responseHead: string | null;
  /** Whether the reply was longer than what is kept, or was cut off; null without a reply. */
  readonly bodyTruncated: boolean | null;
  /** The host that a redirect points to. */
  readonly locationHost: string | null;
  /** What its owner should do about it. */
  readonly hint: RetryHint | null;
  /** Milliseconds for which the receiver wants nothing at all, when it said that it is overloaded. */
  readonly slowDestinationMs: number | null;
  /** A ping: its failure only shows how a delivery would fare. */
  readonly advisory?: true;
  /** Set when the attempt switches its destination off. */
  readonly disables: DisablingReason | null;
}

/** What a look for due deliveries found. */
export interface DueDeliveries {
  readonly claimed: readonly ClaimedDelivery[];
  /** A destination has more waiting, for when one of its requests in flight has ended. */
  readonly more: boolean;
  /** Another process was looking at a destination that has something due: look again in a moment. */
  readonly busy: boolean;
}

/** An attempt that failed by a fault of ours, for the log: ids, a stable code, and what was thrown if something was. */
export interface AttemptFault {
  readonly deliveryId: string;
  readonly attemptId: string;
  readonly destinationId: string;
  readonly reason: 'secret_unreadable' | 'payload_unreadable' | 'signing_key_removed' | 'internal_error';
  readonly error?: unknown;
}

/** A destination that an attempt switched off, for the log. */
export interface DisabledDestination {
  readonly applicationId: string;
  readonly destinationId: string;
  readonly reason: DisablingReason;
}

/** A delivery that is over, or that cannot be tried before a time: its destination is busy, slow or out of order. */
export type DeliveryNotTaken =
  | { readonly ended: true; readonly state: string }
  | { readonly ended: false; readonly retryInMs: number };

/** What the sender needs of the database. */
export interface DeliveryLedger {
  /**
   * Takes deliveries whose first attempt is due, with a lease, and the attempts that owners want by hand: each
   * application in its turn, and no more from a destination than it can take now.
   */
  claimDue(limit: number): Promise<DueDeliveries>;
  /** Takes one delivery of a `WebhookDelivery` run, or says why not now. */
  claimOne(deliveryId: string): Promise<ClaimedDelivery | DeliveryNotTaken>;
  /** Records an attempt; a first failure hands the delivery to a `WebhookDelivery` run. */
  record(record: AttemptRecord): Promise<void>;
}

/** A round of `share.received` that may begin, or why not. */
export type TokenRound =
  /** Over for good, or held while an acknowledgement is carried out. */
  | { readonly open: false; readonly over: boolean }
  | {
      readonly open: true;
      readonly withToken: boolean;
      readonly deliveries: readonly ClaimedDelivery[];
      /**
       * Milliseconds until the first of the destinations takes it that do not now, since they are slow or out of order;
       * 0 when that one is only busy, null when there is none.
       */
      readonly opensInMs: number | null;
    };

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
