import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Refusal } from '../../domain/failures.ts';
import { listOnboardings, readOnboarding, type OnboardingRow } from '../../postgres/onboarding-reads.ts';
import { acknowledgeOnboarding } from '../../sharing/acknowledge.ts';
import { openOnboarding } from '../../sharing/mint.ts';
import type { HandoffTransaction } from '../../sharing/ports.ts';
import { revokeOnboarding } from '../../sharing/revoke.ts';
import type { Caller } from '../../accounts/key-checker.ts';
import type { Actor } from '../../domain/events.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { answerWith, oncePerKey, type Outcome } from '../idempotency.ts';
import { refuseFieldsOfSession } from '../own-session.ts';
import { pageOf } from '../paging.ts';
import { checkBody, orThrow, parseBody, parseQuery, pathId } from '../requests.ts';
import {
  acknowledgeBody,
  onboardingContracts,
  onboardingsQuery,
  revokeBody,
  startBody,
  startSession,
} from '../schemas/onboardings.ts';

/** Onboardings: starting one, watching it, and each side's word on it. */
export function onboardingRoutes(app: FastifyInstance, { tenants }: AppDeps): void {
  const reads = { resource: 'onboardings', access: 'read' } as const;
  const writes = { resource: 'onboardings', access: 'write' } as const;

  app.route({
    method: 'POST',
    url: '/v1/onboardings/',
    config: { needs: writes, judgesDeletion: true, contract: onboardingContracts.start },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const { session_id: sessionId } = orThrow(checkBody(startSession, request));
      const body = checkBody(startBody, request);
      const outcome = await tenants.withTenant(
        applicationId,
        (tx, sql) => {
          const render = (tokenId: string) => readOnboarding(sql, tx.sealer, applicationId, tokenId);
          return oncePerKey<OnboardingRow>(request, sql, {
            run: async () => {
              if (!body.ok) throw await refuseFieldsOfSession(tx, applicationId, sessionId, body.refusal);
              const order = {
                issuerId: applicationId,
                sessionId,
                partnerId: body.value.for_application_id,
                ttlSeconds: body.value.ttl_in_seconds,
              };
              const { tokenId } = await openOnboarding(tx, order, actorOf(request));
              return { status: 202, resourceId: tokenId, result: present(await render(tokenId)) };
            },
            replay: render,
          });
        },
        'mint',
      );
      answerWith(reply, outcome);
      return { ...onboardingBody(outcome.result, applicationId), for_application_id: outcome.result.partnerId };
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/onboardings/',
    config: { needs: reads, contract: onboardingContracts.list },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const { limit, offset, role, status, session_kind: sessionKind } = parseQuery(onboardingsQuery, request);
      const page = { limit, offset };
      const { count, rows } = await tenants.withTenant(
        applicationId,
        (tx, sql) => listOnboardings(sql, tx.sealer, applicationId, { role, status, sessionKind }, page),
        'onboarding',
      );
      return pageOf(request, page, { count, items: rows.map((row) => onboardingBody(row, applicationId)) });
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/onboardings/:token_id/',
    config: { needs: reads, contract: onboardingContracts.read },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const tokenId = pathId(request, 'token_id', 'unknown_onboarding');
      const row = await tenants.withTenant(
        applicationId,
        (tx, sql) => readOnboarding(sql, tx.sealer, applicationId, tokenId),
        'onboarding',
      );
      if (row === null) throw new Refusal('unknown_onboarding');
      return onboardingBody(row, applicationId);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/onboardings/:token_id/acknowledge/',
    config: { needs: writes, contract: onboardingContracts.acknowledge },
    handler: async (request, reply) => {
      const tokenId = pathId(request, 'token_id', 'unknown_onboarding');
      const body = parseBody(acknowledgeBody, request);
      const choice = {
        ...(body.workflow_id !== undefined && { workflowId: body.workflow_id }),
        ...(body.vendor_data !== undefined && { vendorData: body.vendor_data }),
        ...(body.trust_review !== undefined && { trustReview: body.trust_review }),
      };
      const reason = body.reason ?? null;
      // Of what was said, not how it was spelt.
      const said = JSON.stringify([
        body.accept,
        choice.workflowId ?? null,
        body.vendor_data !== undefined,
        body.vendor_data ?? null,
        choice.trustReview ?? null,
        reason,
      ]);
      const bodySha256 = createHash('sha256').update(said).digest();
      return decide(request, reply, tokenId, (tx, { applicationId }, actor) =>
        acknowledgeOnboarding(
          tx,
          { tokenId, partnerId: applicationId, accept: body.accept, choice, reason, bodySha256 },
          actor,
        ),
      );
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/onboardings/:token_id/revoke/',
    config: { needs: writes, contract: onboardingContracts.revoke },
    handler: async (request, reply) => {
      const tokenId = pathId(request, 'token_id', 'unknown_onboarding');
      parseBody(revokeBody, request);
      return decide(request, reply, tokenId, (tx, { applicationId }, actor) =>
        revokeOnboarding(tx, { tokenId, issuerId: applicationId }, actor),
      );
    },
  });

  /** One side's word on an onboarding, answered with the onboarding as it stands then. */
  async function decide(
    request: FastifyRequest,
    reply: FastifyReply,
    tokenId: string,
    verb: (tx: HandoffTransaction, caller: Caller, actor: Actor) => Promise<void>,
  ): Promise<object> {
    const caller = callerOf(request);
    const outcome: Outcome<OnboardingRow> = await tenants.withTenant(
      caller.applicationId,
      (tx, sql) => {
        const render = () => readOnboarding(sql, tx.sealer, caller.applicationId, tokenId);
        return oncePerKey<OnboardingRow>(request, sql, {
          run: async () => {
            await verb(tx, caller, actorOf(request));
            return { status: 200, resourceId: tokenId, result: present(await render()) };
          },
          replay: render,
        });
      },
      'onboarding',
    );
    answerWith(reply, outcome);
    return onboardingBody(outcome.result, caller.applicationId);
  }
}

function present(row: OnboardingRow | null): OnboardingRow {
  if (row === null) throw new Error('an onboarding that was written is there');
  return row;
}

/** An onboarding for one of its sides: the source session is the issuer's own business. */
function onboardingBody(row: OnboardingRow, readerId: string) {
  return {
    token_id: row.tokenId,
    status: row.status,
    reason: row.reason,
    session_kind: row.sessionKind,
    issuer_application_id: row.issuerId,
    partner_application_id: row.partnerId,
    session_id: readerId === row.issuerId ? row.sessionId : null,
    imported_session_id: row.importedSessionId,
    acceptance: row.acceptance,
    created_at: row.createdAt,
    ended_at: row.endedAt,
    expires_at: row.expiresAt,
    acknowledgement: row.acknowledgement,
    steps: row.steps,
  };
}
