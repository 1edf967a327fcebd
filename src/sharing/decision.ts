import type { CheckCategory } from '../domain/decision-categories.ts';
import { renderDecision, type SessionHome } from '../domain/decision-document.ts';
import { putTogether, type HomeValue } from '../domain/decision-parts.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { putLinksInDecision } from '../domain/media-references.ts';
import { renderStatus, type BusinessStatusCase } from '../domain/session-status.ts';
import type { PayloadSealer, ReadableMedia, StoredDecision } from './ports.ts';
import { homeContext } from './store-content.ts';

/** A file as an application reads it, for its own link. */
export interface LinkTarget {
  readonly applicationId: string;
  readonly sessionId: string;
  readonly mediaId: string;
  /** The database's clock, Unix seconds: a link lives from here on. */
  readonly nowSeconds: number;
}

/** How decisions are written. */
export interface DecisionStyle {
  /** Contract row 7. */
  readonly businessStatusCase: BusinessStatusCase;
  /** Makes the links of an answer. Without it files stay named as they are stored. */
  readonly mediaUrl?: (file: LinkTarget) => string;
}

declare const references: unique symbol;

/** A decision whose files are named as they are stored: what an event keeps. Its links are made when it is sent. */
export type DecisionWithReferences = JsonObject & { readonly [references]: true };

/** Puts a stored session together again: the body of `GET /v3/session/{id}/decision/` and of an import (contract row 16). */
export function decisionOf(stored: StoredDecision, sealer: PayloadSealer, style: DecisionStyle): JsonObject {
  return withLinks(decisionWithReferences(stored, sealer, style), stored.session, stored.media, style);
}

/** A decision with its reader's links in place of the names of files; null for files that cannot be read (yet). */
export function withLinks(
  decision: JsonObject,
  { applicationId, sessionId }: { readonly applicationId: string; readonly sessionId: string },
  media: ReadableMedia,
  { mediaUrl }: Pick<DecisionStyle, 'mediaUrl'>,
): JsonObject {
  if (mediaUrl === undefined) return decision;
  const readable = new Set(media.mediaIds);
  return putLinksInDecision(decision, (mediaId) =>
    readable.has(mediaId) ? mediaUrl({ applicationId, sessionId, mediaId, nowSeconds: media.nowSeconds }) : null,
  );
}

/** {@link decisionOf} for an event. */
export function decisionWithReferences(
  stored: Omit<StoredDecision, 'media'>,
  sealer: PayloadSealer,
  style: Pick<DecisionStyle, 'businessStatusCase'>,
): DecisionWithReferences {
  const { session } = stored;
  const { applicationId, sessionId } = session;
  const home = new Map<string, HomeValue[]>();
  let settings: SessionHome | null = null;
  for (const { category, position, payload } of stored.home) {
    const opened: unknown = sealer.openPayload(homeContext(session, category, position), payload);
    if (category === '') settings = opened as SessionHome;
    else home.set(`${category}:${position}`, opened as HomeValue[]);
  }
  const people = new Map<string, { pointer: string; sessionId: string | null }[]>();
  for (const link of stored.people) {
    const key = `${link.category}:${link.position}`;
    const links = people.get(key) ?? [];
    links.push({ pointer: link.pointer, sessionId: link.personSessionId ?? link.reference });
    people.set(key, links);
  }
  const checks = new Map<CheckCategory, JsonObject[]>();
  for (const row of stored.checks) {
    const key = `${row.category}:${row.position}`;
    const { category, position } = row;
    const shared = sealer.openPayload({ applicationId, sessionId, category, position }, row.payload);
    if (!isJsonObject(shared)) throw new Error('a stored check is an object');
    const item = putTogether({ shared, home: home.get(key) ?? [], people: people.get(key) ?? [] });
    const items = checks.get(row.category) ?? [];
    items.push(item);
    checks.set(row.category, items);
  }
  return renderDecision(
    {
      session_id: session.sessionId,
      session_kind: session.kind,
      session_number: session.number,
      status: renderStatus(session.kind, session.status, style.businessStatusCase),
      environment: session.environment,
      workflow_id: session.workflowId,
      features: session.features,
      vendor_data: session.vendorData,
      created_at: session.createdAt,
      expires_at: session.expiresAt,
      shared_from_session: session.sharedFromSession,
      nfc_skip_reason: session.nfcSkipReason,
    },
    settings,
    checks,
  ) as DecisionWithReferences;
}
