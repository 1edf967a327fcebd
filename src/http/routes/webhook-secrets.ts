import type { FastifyInstance } from 'fastify';
import { newWebhookSecret } from '../../crypto/webhook-signature.ts';
import { Refusal } from '../../domain/failures.ts';
import {
  hasDestination,
  lockDestinationFacts,
  readDestination,
  readDestinationFacts,
  type DestinationRow,
} from '../../postgres/webhook-destinations.ts';
import { readLiveSecrets, rotateSecret, type LiveSecret } from '../../postgres/webhook-secrets.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { newSecretForms, secretForms } from '../destination-answers.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { parseBody, pathId } from '../requests.ts';
import { nothingBody, repairContracts, rotateBody } from '../schemas/webhook-repair.ts';

interface Rotated {
  readonly row: DestinationRow;
  /** Null in a replay: a secret is shown once. */
  readonly secret: Buffer | null;
}

interface Revealed {
  readonly current: LiveSecret | null;
  readonly previous: LiveSecret | null;
}

/** A secret is shown once: with the key of an earlier look one sees none. */
const NOT_AGAIN: Revealed = { current: null, previous: null };

/** The secrets of a destination: a new one, with a grace for the one before, and a look at both (webhooks.md A3). */
export function webhookSecretRoutes(app: FastifyInstance, { tenants }: AppDeps): void {
  const writes = { resource: 'webhooks', access: 'write' } as const;

  app.route({
    method: 'POST',
    url: '/v1/webhook/destinations/:uuid/rotate-secret/',
    config: { needs: writes, contract: repairContracts.rotate },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const destinationId = pathId(request, 'uuid', 'destination_not_found');
      const { grace_seconds: graceSeconds } = parseBody(rotateBody, request);
      const outcome = await tenants.withTenant(applicationId, (tx, sql) =>
        oncePerKey<Rotated>(request, sql, {
          run: async () => {
            const destination = await lockDestinationFacts(sql, applicationId, destinationId);
            if (destination === null) throw new Refusal('destination_not_found');
            const secret = newWebhookSecret();
            const made = await rotateSecret(sql, tx.sealer, { applicationId, destinationId, secret, graceSeconds });
            if (!made) throw new Refusal('rotation_in_progress');
            const row = await readDestination(sql, applicationId, destinationId);
            if (row === null) throw new Error('a destination that is locked is there');
            const change = { type: 'webhook.secret_rotated', applicationId, subjectId: destinationId } as const;
            tx.events.record([change], actorOf(request));
            return { status: 200, resourceId: destinationId, result: { row, secret } };
          },
          replay: async () => {
            const row = await readDestination(sql, applicationId, destinationId);
            return row && { row, secret: null };
          },
        }),
      );
      answerWith(reply, outcome);
      const { row, secret } = outcome.result;
      return {
        uuid: row.destinationId,
        ...newSecretForms(secret),
        previous_secret_expires_at: row.previousSecretExpiresAt,
        didit_headers_signed_with: row.diditHeadersSignedWith,
      };
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/webhook/destinations/:uuid/reveal-secret/',
    config: { needs: writes, contract: repairContracts.reveal },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const destinationId = pathId(request, 'uuid', 'destination_not_found');
      parseBody(nothingBody, request);
      const outcome = await tenants.withTenant(
        applicationId,
        (tx, sql) =>
          oncePerKey<Revealed>(request, sql, {
            run: async () => {
              const [destination, [current, previous = null]] = await Promise.all([
                readDestinationFacts(sql, applicationId, destinationId),
                readLiveSecrets(sql, tx.sealer, applicationId, destinationId),
              ]);
              if (destination === null) throw new Refusal('destination_not_found');
              if (current === undefined) throw new Error('a webhook destination has a secret');
              const change = { type: 'webhook.secret_revealed', applicationId, subjectId: destinationId } as const;
              tx.events.record([change], actorOf(request));
              return { status: 200, resourceId: destinationId, result: { current, previous } };
            },
            replay: async () => ((await hasDestination(sql, applicationId, destinationId)) ? NOT_AGAIN : null),
          }),
        'reveal_secret',
      );
      answerWith(reply, outcome);
      const { current, previous } = outcome.result;
      return {
        uuid: destinationId,
        ...newSecretForms(current?.secret ?? null),
        previous_secret: previous && { ...secretForms(previous.secret), expires_at: previous.expiresAt },
      };
    },
  });
}
