import { ONBOARDING_STATUSES } from '../domain/onboarding.ts';
import type { OnboardingStore, PayloadSealer, SealContext } from '../sharing/ports.ts';
import { uuidOrNull } from './session-rows.ts';
import type { Transaction } from './tenants.ts';
import { stopTokenDeliveries } from './token-deliveries.ts';

/** SQL of onboardings, their steps and acknowledgements. */
export function onboardingStore(tx: Transaction, sealer: PayloadSealer): OnboardingStore {
  return {
    insert: (row) =>
      tx.send(
        `insert into onboarding (token_id, session_id, session_kind, issuer_id, partner_id, ttl_seconds)
         values ($1, $2, $3, $4, $5, $6)`,
        [row.tokenId, row.sessionId, row.sessionKind, row.issuerId, row.partnerId, row.ttlSeconds],
      ),
    lock: (tokenId) => tx.send('select 1 from onboarding where token_id = $1 for update', [tokenId]),
    advance: (tokenId, status) =>
      tx.send(
        `update onboarding set status = $2
         where token_id = $1 and ended_at is null and array_position($3::text[], status) < array_position($3::text[], $2)`,
        [tokenId, status, ONBOARDING_STATUSES],
      ),
    setAcceptance: (tokenId, acceptance) =>
      tx.send('update onboarding set acceptance = $2 where token_id = $1', [tokenId, acceptance]),
    end: (tokenId, status, reason, importedSessionId) => {
      tx.send(
        `update onboarding set status = $2, reason = $3, imported_session_id = $4, ended_at = handoff_now()
         where token_id = $1 and ended_at is null`,
        [tokenId, status, reason, importedSessionId],
      );
      // What was still under way, such as a delivery that the partner's word overtook.
      tx.send(
        `update onboarding_step set finished_at = handoff_now(), result = 'stopped'
         where token_id = $1 and finished_at is null`,
        [tokenId],
      );
      stopTokenDeliveries(tx, tokenId);
    },
    beginStep: (tokenId, step, attempts) =>
      tx.send(
        // Nothing begins after the end: it would never finish.
        `insert into onboarding_step (token_id, step, started_at, attempts)
         select token_id, $2, handoff_now(), $3 from onboarding where token_id = $1 and ended_at is null
         on conflict (token_id, step) do update set attempts = greatest(onboarding_step.attempts, excluded.attempts)`,
        [tokenId, step, attempts],
      ),
    reopenStep: (tokenId, step) =>
      tx.send('update onboarding_step set finished_at = null, result = null where token_id = $1 and step = $2', [
        tokenId,
        step,
      ]),
    endStep: (tokenId, step, result, attempts = 1) =>
      tx.send(
        `insert into onboarding_step (token_id, step, started_at, finished_at, attempts, result)
         values ($1, $2, handoff_now(), handoff_now(), $4, $3)
         on conflict (token_id, step) do update
           set finished_at = handoff_now(), result = $3, attempts = greatest(onboarding_step.attempts, excluded.attempts)`,
        [tokenId, step, result, attempts],
      ),
    insertAcknowledgement: (row) =>
      tx.send(
        `insert into acknowledgement (acknowledgement_id, token_id, partner_id, accept, workflow_id, vendor_data,
           vendor_data_given, trust_review, reason, state, body_sha256, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, handoff_now())`,
        [
          row.acknowledgementId,
          row.tokenId,
          row.partnerId,
          row.accept,
          uuidOrNull(row.choice.workflowId),
          row.choice.vendorData ?? null,
          row.choice.vendorData !== undefined,
          row.choice.trustReview ?? null,
          row.reason === null
            ? null
            : sealer.sealPayload(reasonContext(row.partnerId, row.acknowledgementId), row.reason),
          row.state,
          row.bodySha256,
        ],
      ),
    settleAcknowledgement: (tokenId, state, why) =>
      tx.send(
        `update acknowledgement set state = $2, spent_code = $3, spent_field = $4
         where token_id = $1 and state = 'unspent'`,
        [tokenId, state, why?.code ?? null, why?.field ?? null],
      ),
  };
}

/** What a partner's own words of an acknowledgement are bound to. */
export function reasonContext(partnerId: string, acknowledgementId: string): SealContext {
  return { applicationId: partnerId, sessionId: acknowledgementId, category: 'acknowledgement_reason', position: 0 };
}
