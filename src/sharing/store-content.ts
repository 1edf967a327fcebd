import type { CheckParts } from '../domain/decision-parts.ts';
import type { SessionHome } from '../domain/decision-document.ts';
import type { JsonValue } from '../domain/json.ts';
import { searchFactsOf } from '../domain/session-facts.ts';
import type { DataKey, HandoffTransaction, SealContext, SealedContent, SessionRow } from './ports.ts';

/** A session's checks taken apart, and its owner's settings. */
export interface Content {
  readonly checks: readonly CheckParts[];
  readonly home: SessionHome;
}

/** What the sealed parts of a session that stay home are bound to: they open in no place that crosses. */
export function homeContext(
  { applicationId, sessionId }: Pick<SealContext, 'applicationId' | 'sessionId'>,
  category: string,
  position: number,
): SealContext {
  return { applicationId, sessionId, category: `home:${category}`, position };
}

/**
 * Seals a session's content into the rows that are stored: what may cross, what stays home, and who its people are.
 *
 * @param key the session's own; left out for a new session, which gets one
 */
export function sealContent(
  tx: HandoffTransaction,
  session: SessionRow,
  { checks, home }: Content,
  key: DataKey = tx.sealer.newDataKey(session),
): SealedContent {
  const { applicationId, sessionId } = session;
  const sealHome = (category: string, position: number, value: JsonValue): Buffer =>
    tx.sealer.sealPayload(homeContext(session, category, position), value, key);
  return {
    key,
    checks: checks.map(({ category, position, shared }) => ({
      category,
      position,
      payload: tx.sealer.sealPayload({ applicationId, sessionId, category, position }, shared, key),
    })),
    home: [
      { category: '', position: 0, payload: sealHome('', 0, { ...home }) },
      ...checks
        .filter((check) => check.home.length > 0)
        .map((check) => ({
          category: check.category,
          position: check.position,
          payload: sealHome(check.category, check.position, check.home as unknown as JsonValue),
        })),
    ],
    people: checks.flatMap((check) =>
      check.people.map(({ pointer, reference }) => ({
        category: check.category,
        position: check.position,
        pointer,
        reference,
        personSessionId: null,
      })),
    ),
  };
}

/** What a session of this application can be searched by: blind-index terms of its names, e-mails and numbers. */
export function searchTermsOf(
  tx: HandoffTransaction,
  applicationId: string,
  checks: readonly Pick<CheckParts, 'category' | 'shared'>[],
): Buffer[] {
  return searchFactsOf(checks).map(({ field, value }) => tx.blindIndex.term(applicationId, field, value));
}
