import type { DecisionContent } from '../domain/decision-intake.ts';
import type { Actor } from '../domain/events.ts';
import { invalidFields, Refusal } from '../domain/failures.ts';
import type { SourceEvent } from '../domain/ingestion.ts';
import { isMediaReference, replaceMedia, takeOutLinks, type RemoteFile } from '../domain/media-references.ts';
import { facetsOf } from '../domain/session-facts.ts';
import { announceData, announceStatus } from './announce.ts';
import type { DecisionStyle } from './decision.ts';
import type {
  DataKey,
  Environment,
  HandoffTransaction,
  IngestStore,
  NewSession,
  SessionRow,
  SourceWord,
  StoredWord,
} from './ports.ts';
import { createdChange } from './session-changes.ts';
import { searchTermsOf, sealContent } from './store-content.ts';
import { newSession } from './take-in.ts';

/** What became of a source's word: `stale` when the session has it or a newer one, `ignored` when it says nothing to us. */
export interface Ingested {
  readonly sessionId: string | null;
  readonly result: 'created' | 'updated' | 'stale' | 'ignored';
}

/**
 * Takes a source's word about one of its sessions: the first makes our session, later ones change it, and one that was
 * made before what is stored changes nothing, in whatever order they come, nor does one that comes again. A new session, a new status and
 * newer content are told to the application's destinations.
 *
 * @throws {Refusal} `application_deleted`; `external_id_conflict` when the stored session is of the other kind;
 *   `invalid_request` when the word is of another environment than the stored session, or for a new one the application
 */
export async function ingestSourceEvent(
  tx: HandoffTransaction,
  store: IngestStore,
  call: { readonly applicationId: string; readonly event: SourceEvent; readonly actor: Actor },
  style: DecisionStyle,
): Promise<Ingested> {
  const { applicationId, event, actor } = call;
  const facts = await tx.sessions.takeInFacts(applicationId, event.externalId);
  if (facts.deleted) throw new Refusal('application_deleted');
  const cause = { cause: `ingested:${tx.newId()}`, reason: 'ingested' } as const;
  // Null too when it was deleted a moment ago.
  const known = facts.stored === null ? null : await store.lock(applicationId, facts.stored.sessionId);
  refuseOtherEnvironment(event, facts.environment, known?.session.environment ?? null);
  if (known === null) {
    if (event.content === null) return { sessionId: null, result: 'ignored' };
    const session = newSession(tx, applicationId, event.content, facts);
    const { written, files } = contentOf(tx, session, event.content);
    const touched = tx.sessions.touchEntities(applicationId, [session]);
    expectFiles(tx, store, written, files);
    tx.sessions.insertContents(applicationId, [written]);
    store.note(session, event);
    tx.events.record([createdChange(session, 'ingested')], actor);
    await touched;
    await announceStatus(tx, session, cause, actor, style);
    return { sessionId: session.sessionId, result: 'created' };
  }

  if (event.content !== null && event.content.kind !== known.session.kind) {
    throw new Refusal('external_id_conflict', { field: 'session_id' });
  }
  const { sessionId } = known.session;
  if (known.word !== null && !isNewer(event, known.word)) {
    if (event.eventId !== null && event.madeAt === known.word.madeAt) store.noteStale(known.session, event);
    return { sessionId, result: 'stale' };
  }
  const session = changed(known.session, event);
  const hasContent = event.hasDecision && event.content !== null;
  if (hasContent) {
    const { written, files } = contentOf(tx, session, besideReviews(event.content, known.ownReviews), known.key);
    const touched = tx.sessions.touchEntities(applicationId, [session]);
    store.replaceContent(written);
    expectFiles(tx, store, written, files);
    await touched;
  }
  store.note(session, event);
  const before = known.session.status;
  if (session.status !== before) await announceStatus(tx, session, { ...cause, before }, actor, style);
  else if (hasContent) await announceData(tx, session, { cause: cause.cause, trigger: 'ingestion' }, actor, style);
  else tx.events.record([{ type: 'session.changed', applicationId, sessionId, reason: 'ingested' }], actor);
  return { sessionId, result: 'updated' };
}

/** A session stays in the environment that it was made in, whatever its application is in now. */
function refuseOtherEnvironment(event: SourceEvent, current: Environment, stamped: Environment | null): void {
  const environment = stamped ?? current;
  if (event.environment === null || event.environment === environment) return;
  const sentence =
    stamped === null
      ? `This application is in ${environment}: point a ${environment} application of Didit at it.`
      : `This session is in ${environment}: its webhooks come from a ${environment} application of Didit.`;
  throw invalidFields({ environment: [sentence] });
}

/** Whether a word comes after what is stored; one that was heard in the stored second, sent again, does not. */
function isNewer(word: SourceWord, stored: StoredWord): boolean {
  if (word.eventId !== null && stored.eventIds.includes(word.eventId)) return false;
  return word.madeAt === stored.madeAt ? word.sentAt >= stored.sentAt : word.madeAt > stored.madeAt;
}

/** The stored columns after the event; without a decision it tells the status alone. */
function changed(session: SessionRow, { status, content, hasDecision }: SourceEvent): SessionRow {
  if (!hasDecision || content === null) return { ...session, status };
  return {
    ...session,
    status,
    vendorData: content.vendor_data,
    features: content.features,
    nfcSkipReason: content.nfc_skip_reason,
    documentExpiresOn: content.document_expires_on,
    ...facetsOf(content.checks),
    createdAt: content.created_at ?? session.createdAt,
    expiresAt: content.expires_at,
  };
}

/** The content with its reviews moved to positions that are free: those of the reviews given here are theirs for good. */
function besideReviews(content: DecisionContent, taken: readonly number[]): DecisionContent {
  let next = 0;
  const free = () => {
    while (taken.includes(next)) next += 1;
    return next++;
  };
  const checks = content.checks.map((check) => (check.category === 'reviews' ? { ...check, position: free() } : check));
  return { ...content, checks };
}

/** A decision's content, sealed, and the files that it has links to: those expire, so they are fetched soon. */
function contentOf(
  tx: HandoffTransaction,
  session: SessionRow,
  content: DecisionContent,
  key?: DataKey,
): { readonly written: NewSession; readonly files: readonly RemoteFile[] } {
  const own = replaceMedia(content.checks, (text) => (isMediaReference(text) ? null : text));
  const { checks, remote } = takeOutLinks(own, () => tx.newId());
  const searchTerms = searchTermsOf(tx, session.applicationId, checks);
  return {
    written: { session, content: sealContent(tx, session, { ...content, checks }, key), searchTerms },
    files: remote,
  };
}

function expectFiles(
  tx: HandoffTransaction,
  store: IngestStore,
  { session, content: { key } }: NewSession,
  files: readonly RemoteFile[],
): void {
  if (files.length === 0) return;
  store.expectFiles({ ...session, key }, files);
  tx.wishMediaFetch(session.sessionId);
}
