import type { FastifyInstance, FastifyRequest } from 'fastify';
import { invalidFields, Refusal } from '../../domain/failures.ts';
import { readAttempt, type AttemptDetail } from '../../postgres/delivery-log.ts';
import type { Transaction } from '../../postgres/tenants.ts';
import { readDestinationFacts } from '../../postgres/webhook-destinations.ts';
import { queuePing } from '../../postgres/webhook-pings.ts';
import {
  endRest,
  listMissed,
  recoverDeliveries,
  replayMissing,
  resolveSpan,
  takeForRepair,
  type MissedRow,
  type Repaired,
  type Span,
} from '../../postgres/webhook-repair.ts';
import type { AppDeps } from '../app.ts';
import { attemptDetail, RESEND_WAIT_MS, whenEnded } from '../attempt-answers.ts';
import { actorOf, callerOf } from '../auth.ts';
import { answerWith, oncePerKey, type Outcome } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery, pathId } from '../requests.ts';
import { missedQuery, nothingBody, repairContracts, spanBody } from '../schemas/webhook-repair.ts';

const DAY_SECONDS = 86_400;
const DESTINATION = '/v1/webhook/destinations/:uuid/';

/** What a destination has not got, and sending it: a test, what failed, what never was sent (webhooks.md A6). */
export function webhookRepairRoutes(
  app: FastifyInstance,
  { tenants, resendWaitMs = RESEND_WAIT_MS, webhookPayloadDays = 30 }: AppDeps,
): void {
  const reads = { resource: 'webhooks', access: 'read' } as const;
  const writes = { resource: 'webhooks', access: 'write' } as const;
  // What is sent tells as much as the sessions themselves.
  const sends = { ...writes, also: { resource: 'sessions', access: 'read' } } as const;

  app.route({
    method: 'POST',
    url: `${DESTINATION}test/`,
    config: { needs: writes, contract: repairContracts.test },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const destinationId = pathId(request, 'uuid', 'destination_not_found');
      parseBody(nothingBody, request);
      const outcome = await tenants.withTenant(applicationId, (tx, sql) => {
        const render = (attemptId: string) => readAttempt(sql, tx.sealer, { applicationId, destinationId, attemptId });
        return oncePerKey<AttemptDetail>(request, sql, {
          run: async () => {
            const destination = await readDestinationFacts(sql, applicationId, destinationId);
            if (destination === null) throw new Refusal('destination_not_found');
            const resourceId = queuePing(sql, tx.sealer, destination, actorOf(request));
            const result = await render(resourceId);
            // It was deleted in between.
            if (result === null) throw new Refusal('destination_not_found');
            return { status: 200, resourceId, result };
          },
          replay: render,
        });
      });
      answerWith(reply, outcome);
      const { attemptId } = outcome.result;
      const ended = await whenEnded(outcome.result, resendWaitMs, () =>
        tenants.withTenant(applicationId, (tx, sql) =>
          readAttempt(sql, tx.sealer, { applicationId, destinationId, attemptId }),
        ),
      );
      return attemptDetail(ended);
    },
  });

  app.route({
    method: 'POST',
    url: `${DESTINATION}recover/`,
    config: { needs: sends, contract: repairContracts.recover },
    handler: async (request, reply) => {
      const outcome = await repair(request, 'webhook.recovered', recoverDeliveries);
      answerWith(reply, outcome);
      return { recovered: outcome.result.count, more: outcome.result.more };
    },
  });

  app.route({
    method: 'POST',
    url: `${DESTINATION}replay-missing/`,
    config: { needs: sends, contract: repairContracts.replayMissing },
    handler: async (request, reply) => {
      const outcome = await repair(request, 'webhook.replayed', replayMissing);
      answerWith(reply, outcome);
      return { replayed: outcome.result.count, more: outcome.result.more };
    },
  });

  app.route({
    method: 'GET',
    url: `${DESTINATION}missed/`,
    config: { needs: reads, contract: repairContracts.missed },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const destinationId = pathId(request, 'uuid', 'destination_not_found');
      const { limit, offset, ...asked } = parseQuery(missedQuery, request);
      const page = { limit, offset };
      const found = await tenants.withTenant(applicationId, async (_tx, sql) =>
        listMissed(sql, applicationId, destinationId, await spanIn(sql, asked), page),
      );
      if (found === null) throw new Refusal('destination_not_found');
      return pageOf(request, page, { count: found.count, items: found.rows.map(missedItem) });
    },
  });

  function repair(
    request: FastifyRequest,
    type: 'webhook.recovered' | 'webhook.replayed',
    work: (sql: Transaction, applicationId: string, destinationId: string, span: Span) => Promise<Repaired>,
  ): Promise<Outcome<Repaired>> {
    const { applicationId } = callerOf(request);
    const destinationId = pathId(request, 'uuid', 'destination_not_found');
    const asked = parseBody(spanBody, request);
    return tenants.withTenant(applicationId, (tx, sql) =>
      oncePerKey<Repaired>(request, sql, {
        run: async () => {
          const span = await spanIn(sql, asked);
          const taken = await takeForRepair(sql, applicationId, destinationId);
          if (taken === null) throw new Refusal('destination_not_found');
          if (taken === 'busy') throw new Refusal('repair_in_progress');
          if (taken === 'disabled') throw new Refusal('destination_disabled');
          endRest(sql, applicationId, destinationId);
          const result = await work(sql, applicationId, destinationId, span);
          const change = { type, applicationId, subjectId: destinationId, after: { ...span, count: result.count } };
          tx.events.record([change], actorOf(request));
          return { status: 200, resourceId: `${result.count}${result.more ? '+' : ''}`, result };
        },
        // The numbers are all that is left of it.
        replay: async (counted) => ({ count: Number.parseInt(counted, 10), more: counted.endsWith('+') }),
      }),
    );
  }

  async function spanIn(sql: Transaction, asked: { since: string; until?: string | undefined }): Promise<Span> {
    const { seconds, ...span } = await resolveSpan(sql, asked);
    if (seconds < 0 && asked.until === undefined) throw invalidFields({ since: ['Must not be in the future.'] });
    if (seconds < 0) throw invalidFields({ until: ['Must not be before since.'] });
    if (seconds > webhookPayloadDays * DAY_SECONDS) {
      throw invalidFields({
        since: [`Must be ${webhookPayloadDays} days before until at most: payloads are kept no longer.`],
      });
    }
    return span;
  }
}

function missedItem(row: MissedRow) {
  return {
    event_id: row.eventId,
    webhook_type: row.eventType,
    session_id: row.sessionId,
    token_id: row.tokenId,
    sequence: row.sequence,
    created_at: row.createdAt,
    state: row.state,
    attempts: row.attempts,
    last_reason: row.lastReason,
    next_attempt_at: row.nextAttemptAt,
  };
}
