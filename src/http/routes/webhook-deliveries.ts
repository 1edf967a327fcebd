import { setTimeout } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { canonicalJson } from '../../crypto/canonical-json.ts';
import { Refusal } from '../../domain/failures.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { putLinksInDecision } from '../../domain/media-references.ts';
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
import type { HandoffTransaction } from '../../sharing/ports.ts';
import { contentOf } from '../../webhooks/compose-attempt.ts';
import type { AppDeps } from '../app.ts';
import { callerOf } from '../auth.ts';
import { answerWith, oncePerKey, type Outcome } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery, pathId } from '../requests.ts';
import { deliveriesQuery, deliveryContracts, resendBody, sessionWebhooksQuery } from '../schemas/webhook-deliveries.ts';

/** Didit's limit for the synchronous resend. */
const RESEND_WAIT_MS = 5_000;
const POLL_MS = 100;

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
      const { limit, offset, date_from: dateFrom, date_to: dateTo } = parseQuery(deliveriesQuery, request);
      const page = { limit, offset };
      const found = await tenants.withTenant(applicationId, (_tx, sql) =>
        listAttempts(sql, applicationId, destinationId, { dateFrom, dateTo }, page),
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
      return attemptItem(await whenEnded(outcome.result, callerOf(request).applicationId));
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
            const result = await render(resourceId);
            if (result === null) throw new Error('an attempt that was queued is there');
            return { status, resourceId, result };
          },
          replay: render,
        });
      },
      'onboarding',
    );
  }

  /** The attempt when it has ended, or as it stands after a while: only the senders dial out. */
  async function whenEnded(queued: AttemptRow, applicationId: string): Promise<AttemptRow> {
    const until = performance.now() + resendWaitMs;
    let attempt = queued;
    while (attempt.status === 'pending' && performance.now() < until) {
      await setTimeout(POLL_MS);
      const now = await tenants.withTenant(applicationId, (_tx, sql) =>
        readOutcome(sql, applicationId, queued.attemptId),
      );
      attempt = { ...attempt, ...now };
    }
    return attempt;
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

async function refuseEndedToken(tx: HandoffTransaction, { carriesToken }: AttemptDetail): Promise<void> {
  if (carriesToken === null) return;
  const share = await tx.shares.look(carriesToken);
  if (share === null || answerOf(share).state !== 'open') throw new Refusal('delivery_token_ended');
}

function attemptItem(row: AttemptRow) {
  return {
    uuid: row.attemptId,
    session_id: row.sessionId,
    request_url: row.requestUrl,
    response_status: row.responseStatus,
    response_time_ms: row.responseTimeMs,
    status: row.status,
    webhook_type: row.eventType,
    created_at: row.createdAt,
  };
}

function attemptDetail(row: AttemptDetail) {
  const { requestHeaders: headers } = row;
  return {
    ...attemptItem(row),
    request_header: headers === null ? null : JSON.stringify(headers),
    request_body:
      headers === null || row.payload === null
        ? null
        : bodySent({ ...row, payload: row.payload }, Number(headers['x-timestamp'])),
  };
}

/** The body as it went out at this time, without its share token and its links to files. */
function bodySent(row: AttemptDetail & { readonly payload: JsonObject }, timestamp: number): string {
  const content = contentOf({ ...row, createdAt: row.eventAt }, timestamp);
  const { decision } = content;
  return canonicalJson({
    ...content,
    ...(isJsonObject(decision) && { decision: putLinksInDecision(decision, () => null) }),
    ...(row.carriesToken !== null && { share_token: null }),
  });
}
