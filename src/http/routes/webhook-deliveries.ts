import type { FastifyInstance, FastifyRequest } from 'fastify';
import { canonicalJson } from '../../crypto/canonical-json.ts';
import { Refusal } from '../../domain/failures.ts';
import { isJsonObject } from '../../domain/json.ts';
import { putLinksInDecision } from '../../domain/media-references.ts';
import {
  listAttempts,
  queueAttempt,
  readAttempt,
  type AttemptDetail,
  type AttemptRow,
} from '../../postgres/delivery-log.ts';
import { answerOf } from '../../sharing/share-answer.ts';
import type { HandoffTransaction } from '../../sharing/ports.ts';
import { contentOf } from '../../webhooks/compose-attempt.ts';
import type { AppDeps } from '../app.ts';
import { callerOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery, pathId } from '../requests.ts';
import { deliveriesQuery, deliveryContracts, resendBody } from '../schemas/webhook-deliveries.ts';

const ALL = '/v3/webhook/destinations/:uuid/deliveries/';

/** The log of webhook deliveries: every attempt, and sending one again (contract/didit-api.md 4.2). */
export function webhookDeliveryRoutes(app: FastifyInstance, { tenants }: AppDeps): void {
  const reads = { resource: 'webhooks', access: 'read' } as const;

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
    config: { needs: reads, contract: deliveryContracts.read },
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
      // A payload tells as much as the session itself.
      needs: { resource: 'webhooks', access: 'write', also: { resource: 'sessions', access: 'read' } },
      contract: deliveryContracts.resend,
    },
    handler: async (request, reply) => {
      const which = attemptIn(request);
      parseBody(resendBody, request);
      const outcome = await tenants.withTenant(
        which.applicationId,
        (tx, sql) => {
          const render = (attemptId: string) => readAttempt(sql, tx.sealer, { ...which, attemptId });
          return oncePerKey<AttemptRow>(request, sql, {
            run: async () => {
              const attempt = await render(which.attemptId);
              if (attempt === null) throw new Refusal('delivery_not_found');
              await refuseEndedToken(tx, attempt);
              const resourceId = queueAttempt(sql, which.applicationId, which.attemptId);
              const result = await render(resourceId);
              if (result === null) throw new Error('an attempt that was queued is there');
              return { status: 201, resourceId, result };
            },
            replay: render,
          });
        },
        'onboarding',
      );
      answerWith(reply, outcome);
      return attemptItem(outcome.result);
    },
  });
}

function attemptIn(request: FastifyRequest) {
  return {
    applicationId: callerOf(request).applicationId,
    destinationId: pathId(request, 'uuid', 'delivery_not_found'),
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
    request_body: headers === null ? null : bodySent(row, Number(headers['x-timestamp'])),
  };
}

/** The body as it went out at this time, without its share token and its links to files. */
function bodySent(row: AttemptDetail, timestamp: number): string {
  const content = contentOf({ ...row, createdAt: row.eventAt }, timestamp);
  const { decision } = content;
  return canonicalJson({
    ...content,
    ...(isJsonObject(decision) && { decision: putLinksInDecision(decision, () => null) }),
    ...(row.carriesToken !== null && { share_token: null }),
  });
}
