import type { FastifyInstance } from 'fastify';
import { createWebhookDestination } from '../../accounts/applications.ts';
import { diditSecret, standardSecret } from '../../crypto/webhook-signature.ts';
import { invalidFields, Refusal } from '../../domain/failures.ts';
import {
  deleteDestination,
  listDestinations,
  readDestination,
  updateDestination,
  type DestinationRow,
} from '../../postgres/webhook-destinations.ts';
import { checkWebhookUrl } from '../../webhooks/address-guard.ts';
import type { AppDeps } from '../app.ts';
import { callerOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { parseBody, pathId } from '../requests.ts';
import { changeDestinationBody, createDestinationBody, destinationContracts } from '../schemas/webhook-destinations.ts';

interface Created {
  readonly row: DestinationRow;
  /** Null in a replay: a secret is shown once. */
  readonly secret: Buffer | null;
}

/** Webhook destinations: Didit's routes (contract/didit-api.md 4.1). */
export function webhookDestinationRoutes(app: FastifyInstance, { tenants, webhookUrlRules }: AppDeps): void {
  const reads = { resource: 'webhooks', access: 'read' } as const;
  const writes = { resource: 'webhooks', access: 'write' } as const;

  function checkUrl(url: string): void {
    const problem = checkWebhookUrl(url, webhookUrlRules);
    if (problem !== null) throw invalidFields({ url: [problem] });
  }

  app.route({
    method: 'POST',
    url: '/v3/webhook/destinations/',
    config: { needs: writes, contract: destinationContracts.create },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const body = parseBody(createDestinationBody, request);
      checkUrl(body.url);
      const outcome = await tenants.withTenant(applicationId, (tx, sql) =>
        oncePerKey<Created>(request, sql, {
          run: async () => {
            const made = await createWebhookDestination(sql, tx.sealer, {
              applicationId,
              url: body.url,
              subscribedEvents: body.subscribed_events,
              label: body.label,
              enabled: body.enabled,
            });
            if (made === null) throw urlTaken();
            const row = await readDestination(sql, applicationId, made.destinationId);
            if (row === null) throw new Error('a destination that was written is there');
            return { status: 201, resourceId: made.destinationId, result: { row, secret: made.secret } };
          },
          replay: async (destinationId) => {
            const row = await readDestination(sql, applicationId, destinationId);
            return row === null ? null : { row, secret: null };
          },
        }),
      );
      answerWith(reply, outcome);
      const { row, secret } = outcome.result;
      return {
        ...destinationBody(row),
        secret_shared_key: secret === null ? null : diditSecret(secret),
        secret_standard_webhooks: secret === null ? null : standardSecret(secret),
        ...(secret === null && { secret_replayed: true }),
      };
    },
  });

  app.route({
    method: 'GET',
    url: '/v3/webhook/destinations/',
    config: { needs: reads, contract: destinationContracts.list },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const rows = await tenants.withTenant(applicationId, (_tx, sql) => listDestinations(sql, applicationId));
      return rows.map(destinationItem);
    },
  });

  app.route({
    method: 'GET',
    url: '/v3/webhook/destinations/:uuid/',
    config: { needs: reads, contract: destinationContracts.read },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const destinationId = pathId(request, 'uuid', 'destination_not_found');
      const row = await tenants.withTenant(applicationId, (_tx, sql) =>
        readDestination(sql, applicationId, destinationId),
      );
      if (row === null) throw new Refusal('destination_not_found');
      return destinationBody(row);
    },
  });

  app.route({
    method: 'PATCH',
    url: '/v3/webhook/destinations/:uuid/',
    config: { needs: writes, contract: destinationContracts.change },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const destinationId = pathId(request, 'uuid', 'destination_not_found');
      const body = parseBody(changeDestinationBody, request);
      if (body.url !== undefined) checkUrl(body.url);
      const row = await tenants.withTenant(applicationId, async (_tx, sql) => {
        const changed = await updateDestination(sql, applicationId, destinationId, {
          url: body.url,
          label: body.label,
          enabled: body.enabled,
          subscribedEvents: body.subscribed_events,
        });
        if (!changed) throw urlTaken();
        return readDestination(sql, applicationId, destinationId);
      });
      if (row === null) throw new Refusal('destination_not_found');
      return destinationBody(row);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/v3/webhook/destinations/:uuid/',
    config: { needs: writes, contract: destinationContracts.delete },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const destinationId = pathId(request, 'uuid', 'destination_not_found');
      const deleted = await tenants.withTenant(applicationId, (_tx, sql) =>
        deleteDestination(sql, applicationId, destinationId),
      );
      if (!deleted) throw new Refusal('destination_not_found');
      return reply.code(204).send();
    },
  });
}

function urlTaken(): Refusal {
  return invalidFields({ url: ['This webhook destination already exists for the application.'] });
}

function destinationHead(row: DestinationRow) {
  return {
    uuid: row.destinationId,
    label: row.label,
    url: row.url,
    enabled: row.enabled,
    webhook_version: 'v3',
    subscribed_events: row.subscribedEvents,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
  };
}

function destinationItem(row: DestinationRow) {
  return {
    ...destinationHead(row),
    subscribed_events_count: row.subscribedEvents.length,
    deliveries_count: row.attempts,
    failed_deliveries_count: row.failed,
    average_response_time_ms: row.averageMs,
    error_rate_percentage: errorRate(row),
    last_delivery_at: row.lastAt,
  };
}

function destinationBody(row: DestinationRow) {
  return {
    ...destinationHead(row),
    summary: {
      total_deliveries: row.attempts,
      failed_deliveries: row.failed,
      error_rate_percentage: errorRate(row),
      min_response_time_ms: row.minMs,
      avg_response_time_ms: row.averageMs,
      max_response_time_ms: row.maxMs,
      last_delivery_at: row.lastAt,
    },
  };
}

function errorRate({ attempts, failed }: DestinationRow): number {
  return attempts === 0 ? 0 : Math.round((failed / attempts) * 100);
}
