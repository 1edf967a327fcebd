import type { FastifyInstance } from 'fastify';
import { createWebhookDestination } from '../../accounts/applications.ts';
import { invalidFields, Refusal } from '../../domain/failures.ts';
import { updateDestination } from '../../postgres/change-destination.ts';
import {
  deleteDestination,
  listDestinations,
  readDestination,
  readDestinationFacts,
  type DestinationRow,
} from '../../postgres/webhook-destinations.ts';
import { queuePing, readLastPing, type PingOutcome } from '../../postgres/webhook-pings.ts';
import type { Transaction } from '../../postgres/tenants.ts';
import { normalWebhookUrl } from '../../webhooks/address-guard.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { destinationBody, destinationItem, newSecretForms } from '../destination-answers.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { parseBody, pathId } from '../requests.ts';
import { changeDestinationBody, createDestinationBody, destinationContracts } from '../schemas/webhook-destinations.ts';

interface Shown {
  readonly row: DestinationRow;
  readonly ping: PingOutcome | null;
}

interface Created extends Shown {
  /** Null in a replay: a secret is shown once. */
  readonly secret: Buffer | null;
}

/** Webhook destinations: Didit's routes (contract/didit-api.md 4.1). */
export function webhookDestinationRoutes(app: FastifyInstance, { tenants, webhookUrlRules }: AppDeps): void {
  const reads = { resource: 'webhooks', access: 'read' } as const;
  const writes = { resource: 'webhooks', access: 'write' } as const;

  function normalUrl(url: string): string {
    const normal = normalWebhookUrl(url, webhookUrlRules);
    if ('problem' in normal) throw invalidFields({ url: [normal.problem] });
    return normal.url;
  }

  app.route({
    method: 'POST',
    url: '/v3/webhook/destinations/',
    config: { needs: writes, contract: destinationContracts.create },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const body = parseBody(createDestinationBody, request);
      const url = normalUrl(body.url);
      const outcome = await tenants.withTenant(applicationId, (tx, sql) =>
        oncePerKey<Created>(request, sql, {
          run: async () => {
            const made = await createWebhookDestination(sql, tx.sealer, {
              applicationId,
              url,
              subscribedEvents: body.subscribed_events,
              label: body.label,
              enabled: body.enabled,
              payloadMode: body.payload_mode,
            });
            if (made === null) throw urlTaken();
            const { destinationId, secret } = made;
            const facts = await readDestinationFacts(sql, applicationId, destinationId);
            if (facts === null) throw new Error('a destination that was written is there');
            if (body.enabled !== false) {
              queuePing(sql, tx.sealer, facts, actorOf(request));
            }
            const shown = await show(sql, applicationId, destinationId);
            if (shown === null) throw new Error('a destination that was written is there');
            const { label, enabled, subscribedEvents, payloadMode } = shown.row;
            const after = { label, url, enabled, subscribedEvents: [...subscribedEvents], payloadMode };
            const change = { type: 'webhook_destination.created', applicationId, subjectId: destinationId } as const;
            tx.events.record([{ ...change, after }], actorOf(request));
            return { status: 201, resourceId: destinationId, result: { ...shown, secret } };
          },
          replay: async (destinationId) => {
            const shown = await show(sql, applicationId, destinationId);
            return shown && { ...shown, secret: null };
          },
        }),
      );
      answerWith(reply, outcome);
      const { row, ping, secret } = outcome.result;
      return { ...destinationBody(row, ping), ...newSecretForms(secret) };
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
      const shown = await tenants.withTenant(applicationId, (_tx, sql) => show(sql, applicationId, destinationId));
      if (shown === null) throw new Refusal('destination_not_found');
      return destinationBody(shown.row, shown.ping);
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
      const url = body.url === undefined ? undefined : normalUrl(body.url);
      const shown = await tenants.withTenant(applicationId, async (tx, sql) => {
        const changed = await updateDestination(sql, applicationId, destinationId, {
          url,
          label: body.label,
          enabled: body.enabled,
          subscribedEvents: body.subscribed_events,
          payloadMode: body.payload_mode,
          diditHeadersSignedWith: body.didit_headers_signed_with,
        });
        if (changed === 'url_taken') throw urlTaken();
        if (changed === null) throw new Refusal('destination_not_found');
        const change = { type: 'webhook_destination.changed', applicationId, subjectId: destinationId } as const;
        tx.events.record([{ ...change, ...changed }], actorOf(request));
        return show(sql, applicationId, destinationId);
      });
      if (shown === null) throw new Refusal('destination_not_found');
      return destinationBody(shown.row, shown.ping);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/v3/webhook/destinations/:uuid/',
    config: { needs: writes, contract: destinationContracts.delete },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const destinationId = pathId(request, 'uuid', 'destination_not_found');
      await tenants.withTenant(applicationId, async (tx, sql) => {
        if (!(await deleteDestination(sql, applicationId, destinationId))) throw new Refusal('destination_not_found');
        const change = { type: 'webhook_destination.deleted', applicationId, subjectId: destinationId } as const;
        tx.events.record([change], actorOf(request));
      });
      return reply.code(204).send();
    },
  });
}

async function show(sql: Transaction, applicationId: string, destinationId: string): Promise<Shown | null> {
  const [row, ping] = await Promise.all([
    readDestination(sql, applicationId, destinationId),
    readLastPing(sql, applicationId, destinationId),
  ]);
  return row && { row, ping };
}

function urlTaken(): Refusal {
  return invalidFields({ url: ['This webhook destination already exists for the application.'] });
}
