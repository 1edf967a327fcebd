import type { Actor } from '../domain/events.ts';
import { Refusal } from '../domain/failures.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ShareAnswer } from '../domain/onboarding.ts';
import { decisionWithReferences, withLinks, type DecisionStyle } from './decision.ts';
import { personVendorData, settleImport, type ImportWay, type SettledImport } from './import-rules.ts';
import type { CloneOrder, HandoffTransaction, ImportChoice, ImportFacts, SessionRow, ShareFacts } from './ports.ts';
import { DELETED_WITH_APPLICATION } from './delete-application.ts';
import { answerOf } from './share-answer.ts';
import { createdChange } from './session-changes.ts';
import { endingEvents, partiesOf } from './share-events.ts';
import { KeyNotWrapped } from './share-keys.ts';
import { statusUpdatedEvent } from './status-updated.ts';
import { searchTermsOf } from './store-content.ts';

/** An import that is written: the new session and its decision, as the partner's `GET …/decision/` gives it. */
export interface Imported {
  readonly sessionId: string;
  readonly decision: JsonObject;
}

/**
 * The partner's own import call: `POST /v3/session/import-shared/`. Refuses in the order of contract row 2.
 *
 * @param call.tokenId `jti` of a token whose signature and claims were checked
 * @param call.kid the key that signed it
 * @throws {Refusal}
 * @throws {KeyNotWrapped}
 */
export async function redeemShareToken(
  tx: HandoffTransaction,
  call: {
    readonly tokenId: string;
    readonly kid: string;
    readonly partnerId: string;
    readonly choice: ImportChoice;
  },
  actor: Actor,
  style: DecisionStyle,
): Promise<Imported> {
  const share = await tx.shares.lock(call.tokenId);
  if (share?.token == null || share.token.keyRemoved || share.token.kid !== call.kid) {
    throw new Refusal('share_token_invalid');
  }
  if (share.token.partnerId !== call.partnerId) throw new Refusal('share_token_not_for_this_application');
  if (share.token.expired) throw new Refusal('share_token_expired');
  if (share.token.closedReason === DELETED_WITH_APPLICATION && share.token.closedAs === 'revoked') {
    throw new Refusal('application_deleted');
  }
  if (share.token.closedAs !== null) throw new Refusal('share_token_revoked');
  if (share.redeemedSessionId !== null) {
    throw new Refusal('already_imported', { extra: { existing_session_id: share.redeemedSessionId } });
  }
  const imported = await importSession(tx, share, call.choice, 'plain', actor, style);
  if (share.onboarding !== null) tx.wishSignal(call.tokenId, 'tokenRedeemed', imported.sessionId);
  return imported;
}

/**
 * The run's import: of an acknowledged token, or of an automatic one before its expiry. Everything else is answered
 * as it stands, a redemption of this very token included.
 *
 * @throws {RefusedImport} when a rule refuses the import; nothing is written then
 * @throws {KeyNotWrapped}
 */
export async function importForOnboarding(
  tx: HandoffTransaction,
  tokenId: string,
  attempt: number,
  style: DecisionStyle,
): Promise<ShareAnswer> {
  tx.shares.actForPartnerOf(tokenId);
  const share = await tx.shares.lock(tokenId);
  if (share === null) throw new Refusal('unknown_onboarding');
  const answer = answerOf(share);
  const automatic = answer.state === 'open' && share.onboarding?.acceptance === 'automatic';
  if (answer.state !== 'acknowledged' && !automatic) return answer;
  tx.onboardings.beginStep(tokenId, 'import', attempt);
  const actor: Actor = { kind: 'onboarding', id: tokenId };
  const choice = share.acknowledgement?.choice ?? {};
  try {
    const { sessionId } = await importSession(tx, share, choice, 'onboarding', actor, style);
    return { state: 'redeemed', sessionId };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new RefusedImport(error, share.acknowledgement?.acknowledgementId ?? null);
  }
}

/** A refusal of a run's import, with the acknowledgement that it is to spend. */
export class RefusedImport extends Refusal {
  /** UUID; `null` when the import was automatic. */
  readonly acknowledgementId: string | null;

  constructor({ code, field, extra }: Refusal, acknowledgementId: string | null) {
    super(code, { ...(field !== undefined && { field }), ...(extra !== undefined && { extra }) });
    this.acknowledgementId = acknowledgementId;
  }
}

async function importSession(
  tx: HandoffTransaction,
  share: ShareFacts,
  choice: ImportChoice,
  way: ImportWay,
  actor: Actor,
  style: DecisionStyle,
): Promise<Imported> {
  const token = share.token;
  if (token === null) throw new Error('an import needs a token');
  const facts = await tx.sessions.importFacts(token, choice.workflowId);
  const settled = settleImport(token, facts, choice, way);
  const order = cloneOrder(tx, share, facts, settled, way);
  const [main, ...people] = order.sources;
  if (main === undefined) throw new Error('a clone has a source');

  const [inserted, blocked, clone] = await Promise.all([
    tx.shares.insertRedemption({
      tokenId: share.tokenId,
      sourceSessionId: token.sessionId,
      issuerId: token.issuerId,
      partnerId: token.partnerId,
      sessionId: main.to.sessionId,
      // The partner's own call chooses for itself, whatever it acknowledged before.
      acknowledgementId: way === 'onboarding' ? (share.acknowledgement?.acknowledgementId ?? null) : null,
      trustReview: settled.trustReview,
    }),
    tx.sessions.touchEntities(
      token.partnerId,
      order.sources.map(({ to }) => to),
    ),
    tx.sessions.cloneChecks(order),
  ]);
  if (!inserted) throw await takenMeanwhile(tx, token);
  if (blocked) throw new Refusal('entity_blocked', { field: 'vendor_data' });
  if (!clone.complete) throw new KeyNotWrapped(share.tokenId);

  endOnboarding(tx, share, main.to.sessionId, way);
  // All that takes time comes before the numbers, whose row stays locked until the commit.
  const unnumbered = decisionWithReferences({ session: main.to, ...clone, home: [] }, tx.sealer, style);
  tx.sessions.insertSearchTerms(token.partnerId, searchTermsOfClones(tx, order, clone.searchable));
  tx.events.record(
    people.map(({ to }) => ({ ...createdChange(to, 'shared'), tokenId: share.tokenId })),
    actor,
  );
  const [businessId, numbers] = await Promise.all([
    tx.sessions.businessIdOf(main.to),
    tx.sessions.takeNumbers(token.partnerId, {
      user: people.length + (main.to.kind === 'user' ? 1 : 0),
      business: main.to.kind === 'business' ? 1 : 0,
    }),
  ]);
  const numbered: CloneOrder = {
    ...order,
    sources: order.sources.map(({ from, to }) => ({ from, to: { ...to, number: numbers[to.kind].shift() ?? 0 } })),
  };
  tx.sessions.insertClones(numbered);
  const session = numbered.sources[0]?.to ?? main.to;
  const decision = { ...unnumbered, session_number: session.number };
  tx.events.insert(
    [
      statusUpdatedEvent(session, decision, {
        tokenId: share.tokenId,
        cause: 'imported',
        reason: 'imported',
        businessId,
        style,
      }),
      ...endingEvents(partiesOf(share), 'imported', {
        reason: null,
        // An automatic import is faster than the notice of it.
        sentToPartner: share.sent || share.onboarding?.acceptance === 'automatic',
        importedSessionId: session.sessionId,
        before: answerOf(share).state,
      }),
    ],
    actor,
  );
  const media = { mediaIds: clone.mediaIds, nowSeconds: Math.floor(Date.parse(share.now) / 1000) };
  return { sessionId: session.sessionId, decision: withLinks(decision, session, media, style) };
}

/** The pair went to another token since the rules were read: the refusal names its import, as the rule would have. */
async function takenMeanwhile(tx: HandoffTransaction, token: NonNullable<ShareFacts['token']>): Promise<Refusal> {
  const { livingImport } = await tx.sessions.importFacts(token, undefined);
  return new Refusal(
    'already_imported',
    livingImport === null ? {} : { extra: { existing_session_id: livingImport.sessionId } },
  );
}

/** The onboarding's ending, in the redemption's own transaction. */
function endOnboarding(tx: HandoffTransaction, share: ShareFacts, sessionId: string, way: ImportWay): void {
  if (share.onboarding === null) return;
  if (way === 'plain') tx.onboardings.endStep(share.tokenId, 'wait', 'redeemed');
  tx.onboardings.endStep(share.tokenId, 'import', 'imported');
  if (share.acknowledgement !== null) {
    tx.onboardings.settleAcknowledgement(share.tokenId, way === 'onboarding' ? 'redeemed' : 'withdrawn');
  }
  tx.onboardings.end(share.tokenId, 'imported', null, sessionId);
}

function cloneOrder(
  tx: HandoffTransaction,
  share: ShareFacts,
  facts: ImportFacts,
  settled: SettledImport,
  way: ImportWay,
): CloneOrder {
  const partnerId = partiesOf(share).partnerId;
  const issuerId = partiesOf(share).issuerId;
  const mainId = tx.newId();
  const clone = (from: SessionRow, own: Partial<SessionRow>): { from: SessionRow; to: SessionRow } => ({
    from,
    to: {
      ...from,
      sessionId: tx.newId(),
      applicationId: partnerId,
      number: 0,
      status: settled.trustReview ? from.status : 'In Review',
      externalId: null,
      sharedFromSession: from.sessionId,
      parentImport: null,
      sessionType: 'API',
      firstStatus: settled.trustReview ? from.status : 'In Review',
      createdAt: share.now,
      // Didit's samples: a session expires seven days after its creation.
      expiresAt: sevenDaysAfter(share.now),
      ...own,
    },
  });
  return {
    tokenId: share.tokenId,
    partnerId,
    sources: [
      clone(settled.source, {
        sessionId: mainId,
        workflowId: settled.workflow.workflowId,
        workflowVersion: settled.workflow.version,
        vendorData: settled.vendorData,
      }),
      ...settled.people.map((person) =>
        clone(person, {
          parentImport: mainId,
          workflowId: settled.peopleWorkflow?.workflowId ?? null,
          workflowVersion: settled.peopleWorkflow?.version ?? 1,
          vendorData: personVendorData(person, issuerId, facts, way),
        }),
      ),
    ],
  };
}

/** What each clone is found by in the importer's application. */
function searchTermsOfClones(
  tx: HandoffTransaction,
  order: CloneOrder,
  searchable: Awaited<ReturnType<HandoffTransaction['sessions']['cloneChecks']>>['searchable'],
): { sessionId: string; terms: Buffer[] }[] {
  return order.sources.map(({ to: { sessionId, applicationId } }) => {
    const checks = searchable
      .filter((check) => check.sessionId === sessionId)
      .map(({ category, position, payload }) => ({
        category,
        shared: tx.sealer.openPayload({ applicationId, sessionId, category, position }, payload) as JsonObject,
      }));
    return { sessionId, terms: searchTermsOf(tx, applicationId, checks) };
  });
}

/** ISO 8601 with all the digits of the time given, so that the answer and the stored session read alike. */
function sevenDaysAfter(now: string): string {
  const later = new Date(Date.parse(now) + 7 * 86_400_000).toISOString();
  return later.slice(0, -'000Z'.length) + now.slice(later.length - '000Z'.length);
}
