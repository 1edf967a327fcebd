import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Refusal } from '../../domain/failures.ts';
import {
  listAttempts,
  listAttemptsOfSession,
  queueAttempt,
  readAttempt,
  readOutcome,
  type AttemptDetail,
  type AttemptKey,
  type AttemptRow,
} from '../../postgres/delivery-log.ts';
import { answerOf } from '../../sharing/share-answer.ts';
import type { Change, HandoffTransaction } from '../../sharing/ports.ts';
import type { AppDeps } from '../app.ts';
import { attemptDetail, attemptItem, RESEND_WAIT_MS, whenEnded } from '../attempt-answers.ts';
import { actorOf, callerOf } from '../auth.ts';
import { answerWith, oncePerKey, type Outcome } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery, pathId } from '../requests.ts';
import { deliveriesQuery, deliveryContracts, resendBody, sessionWebhooksQuery } from '../schemas/webhook-deliveries.ts';

const ALL = '/v3/webhook/destinations/:uuid/deliveries/';

/** The log of webhook deliveries: every attempt, and sending one again (contract/didit-api.md 4.2). */
export function webhookDeliveryRoutes(app: FastifyInstance, { tenants, resendWaitMs = RESEND_WAIT_MS }: AppDeps): void {
  const reads = { resource: 'webhooks', access: 'read' } as const;
  const writes = { resource: 'webhooks', access: 'write' } as const;
  const readsSessions = { resource: 'sessions', access: 'read' } as const;

  app.route({
    method: 'GET',
    url: ALL,
    config: { needs: reads, contract: deliveryContracts.list },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const destinationId = pathId(request, 'uuid', 'destination_not_found');
      const query = parseQuery(deliveriesQuery, request);
      const page = { limit: query.limit, offset: query.offset };
      const { date_from: dateFrom, date_to: dateTo, status, webhook_type: eventType } = query;
      const found = await tenants.withTenant(applicationId, (_tx, sql) =>
        listAttempts(sql, applicationId, destinationId, { dateFrom, dateTo, status, eventType }, page),
      );
      if (found === null) throw new Refusal('destination_not_found');
      return pageOf(request, page, { count: found.count, items: found.rows.map(attemptItem) });
    },
  });

  app.route({
    method: 'GET',
    url: `${ALL}:delivery_uuid/`,
    // A payload tells as much as the session itself.
    config: { needs: { ...reads, also: readsSessions }, contract: deliveryContracts.read },
    handler: async (request) => {
      const which = attemptIn(request);
      const attempt = await tenants.withTenant(which.applicationId, (tx, sql) => readAttempt(sql, tx.sealer, which));
      if (attempt === null) throw new Refusal('delivery_not_found');
      return attemptDetail(attempt);
    },
  });

  app.route({
    method: 'POST',
    url: `${ALL}:delivery_uuid/resend/`,
    config: {
      needs: { ...writes, also: readsSessions },
      contract: deliveryContracts.resend,
    },
    handler: async (request, reply) => {
      const outcome = await sendAgain(request, attemptIn(request), 201);
      answerWith(reply, outcome);
      return attemptItem(outcome.result);
    },
  });

  app.route({
    method: 'GET',
    url: '/v3/session/:session_id/webhooks/',
    config: { needs: { ...reads, also: readsSessions }, contract: deliveryContracts.listOfSession },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const sessionId = pathId(request, 'session_id', 'session_not_found');
      const page = parseQuery(sessionWebhooksQuery, request);
      const found = await tenants.withTenant(applicationId, (_tx, sql) =>
        listAttemptsOfSession(sql, applicationId, sessionId, page),
      );
      if (found === null) throw new Refusal('session_not_found');
      return pageOf(request, page, { count: found.count, items: found.rows.map(attemptItem) });
    },
  });

  app.route({
    method: 'POST',
    url: '/v3/session/:session_id/webhook/:delivery_uuid/resend/',
    config: { needs: { ...writes, also: readsSessions }, contract: deliveryContracts.resendOfSession },
    handler: async (request, reply) => {
      const outcome = await sendAgain(request, attemptOfSessionIn(request), 200);
      answerWith(reply, outcome);
      const { applicationId } = callerOf(request);
      const ended = await whenEnded(outcome.result, resendWaitMs, () =>
        tenants.withTenant(applicationId, (_tx, sql) => readOutcome(sql, applicationId, outcome.result.attemptId)),
      );
      return attemptItem(ended);
    },
  });

  /** Puts an attempt in line once more: the new one, still `pending` unless this is a replay. */
  function sendAgain(request: FastifyRequest, which: AttemptKey, status: 200 | 201): Promise<Outcome<AttemptRow>> {
    parseBody(resendBody, request);
    return tenants.withTenant(
      which.applicationId,
      (tx, sql) => {
        const render = (attemptId: string) => readAttempt(sql, tx.sealer, { ...which, attemptId });
        return oncePerKey<AttemptRow>(request, sql, {
          run: async () => {
            const attempt = await render(which.attemptId);
            if (attempt === null) throw new Refusal('delivery_not_found');
            if (attempt.payload === null) throw new Refusal('delivery_content_deleted');
            await refuseEndedToken(tx, attempt);
            const resourceId = queueAttempt(sql, which.applicationId, which.attemptId);
            tx.events.record([resentChange(which.applicationId, attempt)], actorOf(request));
            const result = await render(resourceId);
            // Its destination was deleted in between.
            if (result === null) throw new Refusal('delivery_not_found');
            return { status, resourceId, result };
          },
          replay: render,
        });
      },
      'onboarding',
    );
  }
}

function attemptIn(request: FastifyRequest): AttemptKey {
  return {
    applicationId: callerOf(request).applicationId,
    destinationId: pathId(request, 'uuid', 'delivery_not_found'),
    attemptId: pathId(request, 'delivery_uuid', 'delivery_not_found'),
  };
}

function attemptOfSessionIn(request: FastifyRequest): AttemptKey {
  return {
    applicationId: callerOf(request).applicationId,
    sessionId: pathId(request, 'session_id', 'delivery_not_found'),
    attemptId: pathId(request, 'delivery_uuid', 'delivery_not_found'),
  };
}

/** The event that is sent again is what this is about. */
function resentChange(applicationId: string, { eventId, sessionId }: AttemptDetail): Change {
  const change = { type: 'webhook.resent', applicationId, subjectId: eventId } as const;
  return sessionId === null ? change : { ...change, sessionId };
}

async function refuseEndedToken(tx: HandoffTransaction, { carriesToken }: AttemptDetail): Promise<void> {
  if (carriesToken === null) return;
  const share = await tx.shares.look(carriesToken);
  if (share === null || answerOf(share).state !== 'open') throw new Refusal('delivery_token_ended');
}
