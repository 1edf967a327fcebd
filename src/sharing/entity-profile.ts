import type { CheckCategory, SessionKind } from '../domain/decision-categories.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { referencedMediaId } from '../domain/media-references.ts';
import { companyNameOf, companyOf, fullNameOf, textOf } from '../domain/session-facts.ts';
import type { SessionStatus } from '../domain/session-status.ts';
import type { LinkTarget } from './decision.ts';
import type { PayloadSealer } from './ports.ts';
import { bestOf, phoneNumberOf, type Items, type ListedParts } from './session-row-view.ts';

/** The session that speaks for a user or business. */
export interface DescribingSession {
  readonly applicationId: string;
  readonly sessionId: string;
  readonly kind: SessionKind;
  readonly status: SessionStatus;
  readonly country: string | null;
}

/** What a session says of the user or business that it is of. */
export interface VerifiedProfile {
  /** Members of a profile by the names of the API, for what the application does not say itself. */
  readonly profile: JsonObject;
  /** A portrait that can be read now. */
  readonly portrait: LinkTarget | null;
}

/** The arrays that profiles are read from. */
export const PROFILE_CATEGORIES: Readonly<Record<SessionKind, readonly CheckCategory[]>> = {
  user: ['id_verifications', 'email_verifications', 'phone_verifications'],
  business: ['registry_checks'],
};

/** Reads the profile of each session's user or business, by session id. */
export function verifiedProfiles(
  sessions: readonly DescribingSession[],
  listed: ListedParts,
  sealer: PayloadSealer,
): ReadonlyMap<string, VerifiedProfile> {
  const parts = Map.groupBy(listed.parts, ({ sessionId }) => sessionId);
  const files = new Set(listed.files.map(({ sessionId, mediaId }) => `${sessionId}:${mediaId}`));
  return new Map(
    sessions.map((session) => {
      const { applicationId, sessionId } = session;
      const items = new Map<CheckCategory, JsonObject[]>();
      for (const { category, position, payload } of parts.get(sessionId) ?? []) {
        if (category === '') continue;
        const item = sealer.openPayload({ applicationId, sessionId, category, position }, payload);
        if (!isJsonObject(item)) throw new Error('a stored check is an object');
        items.set(category, [...(items.get(category) ?? []), item]);
      }
      if (session.kind === 'business') return [sessionId, { profile: companyProfile(session, items), portrait: null }];
      const mediaId = referencedMediaId(textOf(bestOf(items, 'id_verifications'), 'portrait_image') ?? '');
      const portrait =
        mediaId !== null && files.has(`${sessionId}:${mediaId}`)
          ? { applicationId, sessionId, mediaId, nowSeconds: listed.nowSeconds }
          : null;
      return [sessionId, { profile: personProfile(session, items), portrait }];
    }),
  );
}

function personProfile(session: DescribingSession, items: Items): JsonObject {
  const document = bestOf(items, 'id_verifications');
  // A check that does not say what it came to has the status of its session.
  const approved = (category: CheckCategory) =>
    (items.get(category) ?? []).filter((item) => (textOf(item, 'status') ?? session.status) === 'Approved');
  const texts = (found: readonly (string | null)[]) => [...new Set(found.filter((text) => text !== null))];
  return {
    full_name: fullNameOf(document),
    date_of_birth: textOf(document, 'date_of_birth'),
    issuing_states: texts([session.country]),
    approved_emails: texts(approved('email_verifications').map((item) => textOf(item, 'email'))),
    approved_phones: texts(approved('phone_verifications').map(phoneNumberOf)),
  };
}

function companyProfile({ country }: DescribingSession, items: Items): JsonObject {
  const registry = bestOf(items, 'registry_checks');
  const company = registry === undefined ? {} : companyOf(registry);
  return {
    legal_name: companyNameOf(company),
    registration_number: textOf(company, 'registration_number'),
    country_code: country,
  };
}
