import type { CheckParts } from '../domain/decision-parts.ts';
import type { SessionHome } from '../domain/decision-document.ts';
import type { JsonValue } from '../domain/json.ts';
import { searchFactsOf } from '../domain/session-facts.ts';
import type { HandoffTransaction, SealedContent, SessionRow } from './ports.ts';

/** A session's checks taken apart, and its owner's settings. */
export interface Content {
  readonly checks: readonly CheckParts[];
  readonly home: SessionHome;
}

/** Seals a session's content into the rows that are stored: what may cross, what stays home, and who its people are. */
export function sealContent(tx: HandoffTransaction, session: SessionRow, { checks, home }: Content): SealedContent {
  const { applicationId, sessionId } = session;
  const seal = (category: string, position: number, value: JsonValue): Buffer =>
    tx.sealer.sealPayload({ applicationId, sessionId, category, position }, value);
  return {
    checks: checks.map(({ category, position, shared }) => ({
      category,
      position,
      payload: seal(category, position, shared),
    })),
    home: [
      { category: '', position: 0, payload: seal('', 0, { ...home }) },
      ...checks
        .filter((check) => check.home.length > 0)
        .map((check) => ({
          category: check.category,
          position: check.position,
          payload: seal(check.category, check.position, check.home as unknown as JsonValue),
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
