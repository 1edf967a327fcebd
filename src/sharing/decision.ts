import type { CheckCategory } from '../domain/decision-categories.ts';
import { renderDecision, type SessionHome } from '../domain/decision-document.ts';
import { putTogether, type HomeValue } from '../domain/decision-parts.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { renderStatus, type BusinessStatusCase } from '../domain/session-status.ts';
import type { PayloadSealer, StoredDecision } from './ports.ts';

/** How decisions are written for clients: contract row 7. */
export interface DecisionStyle {
  readonly businessStatusCase: BusinessStatusCase;
}

/** Puts a stored session together again: the body of `GET /v3/session/{id}/decision/` and of an import (contract row 16). */
export function decisionOf(stored: StoredDecision, sealer: PayloadSealer, style: DecisionStyle): JsonObject {
  const { session } = stored;
  const open = (row: { category: string; position: number; payload: Buffer }) =>
    sealer.openPayload(
      {
        applicationId: session.applicationId,
        sessionId: session.sessionId,
        category: row.category,
        position: row.position,
      },
      row.payload,
    );
  const home = new Map<string, HomeValue[]>();
  let settings: SessionHome | null = null;
  for (const row of stored.home) {
    if (row.category === '') settings = open(row) as unknown as SessionHome;
    else home.set(`${row.category}:${row.position}`, open(row) as unknown as HomeValue[]);
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
    const shared = open(row);
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
  );
}
