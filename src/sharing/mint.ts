import type { Actor } from '../domain/events.ts';
import { invalidFields, Refusal } from '../domain/failures.ts';
import type { MintResult } from '../domain/onboarding.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import { isFinished } from '../domain/session-status.ts';
import { DataKeyMissing } from './data-key-missing.ts';
import type { HandoffTransaction, MintFacts, SessionDataKey } from './ports.ts';
import { answerOf } from './share-answer.ts';
import { mintedEvent, receivedEvent, type ShareParties } from './share-events.ts';
import { wrapKeys } from './share-keys.ts';

/** What an issuer asks for. `ttlSeconds` is 60 to 86400 (contract row 13). */
export interface MintOrder {
  readonly issuerId: string;
  readonly sessionId: string;
  readonly partnerId: string;
  readonly ttlSeconds: number;
}

/** A minted token's row: with the signing key, all that its text is made of. Times in Unix seconds. */
export interface MintedToken {
  readonly tokenId: string;
  readonly sessionId: string;
  readonly sessionKind: SessionKind;
  readonly issuerId: string;
  readonly partnerId: string;
  readonly kid: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/**
 * Mints a token for a finished session: `POST /v3/session/{id}/share/`.
 *
 * @throws {Refusal} in the order of `semantics.md`, "Codes besides import's"
 * @throws {DataKeyMissing} when nobody could ever import it
 */
export async function mintShareToken(tx: HandoffTransaction, order: MintOrder, actor: Actor): Promise<MintedToken> {
  tx.shares.holdApplications([order.issuerId, order.partnerId]);
  const [facts, keys] = await factsAndKeys(tx, order);
  const session = checkMint(facts, order);
  const kid = facts.activeKid;
  // The server that starts makes one.
  if (kid === null) throw new Refusal('service_unavailable');
  return writeToken(tx, order, { tokenId: tx.newId(), kid, session, keys, nowSeconds: facts.nowSeconds }, actor);
}

/**
 * Opens an onboarding: the row, and the wish for its run. Mints nothing yet.
 *
 * @throws {Refusal} the same as a mint would give now
 */
export async function openOnboarding(
  tx: HandoffTransaction,
  order: MintOrder,
  actor: Actor,
): Promise<{ tokenId: string; sessionKind: SessionKind }> {
  tx.shares.holdApplications([order.issuerId, order.partnerId]);
  const facts = await tx.sessions.mintFacts(order.sessionId, order.issuerId, order.partnerId);
  const session = checkMint(facts, order);
  const tokenId = tx.newId();
  tx.onboardings.insert({ tokenId, sessionKind: session.kind, ...order });
  tx.onboardings.beginStep(tokenId, 'mint', 1);
  const { issuerId: applicationId, sessionId } = order;
  tx.events.record([{ type: 'onboarding.opened', applicationId, tokenId, sessionId, subjectId: tokenId }], actor);
  tx.wishStart(tokenId);
  return { tokenId, sessionKind: session.kind };
}

/**
 * The run's mint: writes the token of an open onboarding. Running it again finds what it wrote.
 *
 * @throws {Refusal} `unknown_onboarding`, or what makes the session unfit to be shared by now
 * @throws {DataKeyMissing}
 */
export async function mintForOnboarding(tx: HandoffTransaction, tokenId: string, attempt: number): Promise<MintResult> {
  tx.shares.holdSidesOf(tokenId);
  const share = await tx.shares.lock(tokenId);
  if (share?.onboarding == null) throw new Refusal('unknown_onboarding');
  const { onboarding } = share;
  if (share.token !== null && !onboarding.ended && onboarding.acceptance !== null) {
    const { remainingMs, expiresAt } = share.token;
    return { state: 'minted', acceptance: onboarding.acceptance, remainingMs, expiresAt: isoTime(expiresAt) };
  }
  if (onboarding.ended) return { state: 'ended', answer: answerOf(share) };

  const order = { ...onboarding };
  const [facts, keys] = await factsAndKeys(tx, order);
  const session = checkMint(facts, order);
  const kid = facts.activeKid;
  if (kid === null) throw new Error('there is no key to sign with yet: start a server, which makes one');
  const acceptance = facts.connection?.active === true ? facts.connection.acceptance : 'acknowledge';
  const actor: Actor = { kind: 'onboarding', id: tokenId };
  const token = writeToken(tx, order, { tokenId, kid, session, keys, nowSeconds: facts.nowSeconds }, actor);
  tx.onboardings.setAcceptance(tokenId, acceptance);
  tx.onboardings.advance(tokenId, 'delivering');
  tx.onboardings.endStep(tokenId, 'mint', 'minted', attempt);
  if (acceptance === 'automatic') {
    const { expiresAt } = token;
    tx.events.insert([receivedEvent(token, { expiresAt, acceptance, withToken: false })], actor);
    tx.onboardings.endStep(tokenId, 'deliver', 'noticed');
  }
  return {
    state: 'minted',
    acceptance,
    remainingMs: order.ttlSeconds * 1000,
    expiresAt: isoTime(token.expiresAt),
  };
}

/** What a mint is judged by, and the data keys that it hands on, in one round trip. */
async function factsAndKeys(
  tx: HandoffTransaction,
  { sessionId, issuerId, partnerId }: MintOrder,
): Promise<[MintFacts, readonly SessionDataKey[]]> {
  // Keys first: a session that goes in between is then not found, instead of one without a key.
  const [keys, facts] = await Promise.all([
    tx.sessions.keysToShare(sessionId, issuerId),
    tx.sessions.mintFacts(sessionId, issuerId, partnerId),
  ]);
  return [facts, keys];
}

type Shareable = NonNullable<MintFacts['session']>;

function checkMint(facts: MintFacts, order: MintOrder): Shareable {
  const { session, partner, connection } = facts;
  if (session === null) throw new Refusal('session_not_found');
  if (order.partnerId === order.issuerId) {
    throw invalidFields({ for_application_id: ['Cannot share a session with the same application.'] });
  }
  if (partner === null) throw invalidFields({ for_application_id: ['Target application does not exist.'] });
  if (partner.environment !== session.environment) {
    throw invalidFields({
      for_application_id: [
        `This session is a ${session.environment} session and the target application is in ${partner.environment}. Name an application of the same environment.`,
      ],
    });
  }
  if (!isFinished(session.status)) throw new Refusal('session_not_finished');
  if (connection?.suspended === true) throw new Refusal('connection_suspended');
  if (facts.issuerDeleted || partner.deleted) throw new Refusal('application_deleted');
  return session;
}

function writeToken(
  tx: HandoffTransaction,
  order: MintOrder,
  made: {
    tokenId: string;
    kid: string;
    session: Shareable;
    keys: readonly SessionDataKey[];
    nowSeconds: number;
  },
  actor: Actor,
): MintedToken & ShareParties {
  if (!made.keys.some(({ sessionId }) => sessionId === order.sessionId)) throw new DataKeyMissing(order.sessionId);
  const token = {
    tokenId: made.tokenId,
    sessionId: order.sessionId,
    sessionKind: made.session.kind,
    issuerId: order.issuerId,
    partnerId: order.partnerId,
    environment: made.session.environment,
    kid: made.kid,
    issuedAt: made.nowSeconds,
    expiresAt: made.nowSeconds + order.ttlSeconds,
  };
  tx.shares.insertToken(token);
  wrapKeys(tx, token, made.keys);
  tx.events.insert([mintedEvent(token, token.expiresAt)], actor);
  return token;
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
