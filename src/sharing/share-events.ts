import type { EventType } from '../domain/events.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Ending, ShareAnswer } from '../domain/onboarding.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type { Environment, NewEvent, ShareFacts } from './ports.ts';

/** Who and what one share is about: what all its events have in common. */
export interface ShareParties {
  readonly tokenId: string;
  readonly sessionId: string;
  readonly sessionKind: SessionKind;
  readonly issuerId: string;
  readonly partnerId: string;
  readonly environment: Environment;
}

/** The parties of a share, from its token or, before the mint, from its onboarding. */
export function partiesOf(facts: ShareFacts): ShareParties {
  const source = facts.token ?? facts.onboarding;
  if (source === null) throw new Error('a share has a token or an onboarding');
  const { sessionId, sessionKind, issuerId, partnerId, environment } = source;
  return { tokenId: facts.tokenId, sessionId, sessionKind, issuerId, partnerId, environment };
}

/** `share.minted`, to the issuer. `expiresAt` in Unix seconds. */
export function mintedEvent(share: ShareParties, expiresAt: number): NewEvent {
  const event = shareEvent('share.minted', share, share.issuerId, {
    session_id: share.sessionId,
    expires_at: new Date(expiresAt * 1000).toISOString(),
  });
  return { ...event, after: { state: 'open', expires_at: expiresAt } };
}

/**
 * `share.received`, to the partner. With `withToken` the run delivers it, and the token is added at each attempt; without,
 * it is the notice that an automatic import is on its way, and goes out as all events do.
 */
export function receivedEvent(
  share: ShareParties,
  details: { readonly expiresAt: number; readonly acceptance: string; readonly withToken: boolean },
): NewEvent {
  const event = shareEvent('share.received', share, share.partnerId, {
    acceptance: details.acceptance,
    expires_at: new Date(details.expiresAt * 1000).toISOString(),
  });
  const { withToken } = details;
  return { ...event, dedupeKey: `${event.dedupeKey}:${withToken ? 'token' : 'notice'}`, byRun: withToken };
}

/**
 * The events of an ending: always one to the issuer, and one to the partner when the share was ever sent to it.
 * Each names its reader's own session only: the issuer's source, the partner's import.
 */
export function endingEvents(
  share: ShareParties,
  ending: Ending,
  details: {
    readonly reason: string | null;
    readonly sentToPartner: boolean;
    readonly importedSessionId?: string;
    /** How the share stood. */
    readonly before: ShareAnswer['state'];
  },
): NewEvent[] {
  const type: EventType = `share.${ending}`;
  const reason = details.reason === null ? {} : { reason: details.reason };
  const events = [shareEvent(type, share, share.issuerId, { session_id: share.sessionId, ...reason })];
  if (details.sentToPartner) {
    const session = details.importedSessionId === undefined ? {} : { session_id: details.importedSessionId };
    events.push(shareEvent(type, share, share.partnerId, { ...session, ...reason }));
  }
  const states = { before: { state: details.before }, after: { state: ending, ...reason } };
  return events.map((event) => ({ ...event, ...reason, ...states }));
}

function shareEvent(type: EventType, share: ShareParties, applicationId: string, members: JsonObject): NewEvent {
  return {
    type,
    applicationId,
    tokenId: share.tokenId,
    sessionId: typeof members['session_id'] === 'string' ? members['session_id'] : null,
    dedupeKey: `${share.tokenId}:${type}:${applicationId}`,
    body: {
      webhook_type: type,
      application_id: applicationId,
      environment: share.environment,
      token_id: share.tokenId,
      session_kind: share.sessionKind,
      issuer_application_id: share.issuerId,
      partner_application_id: share.partnerId,
      ...members,
    },
  };
}
