import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isSignedByDidit } from '../../crypto/didit-signature.ts';
import { invalidFields, Refusal } from '../../domain/failures.ts';
import { readSourceEvent, sentAtOf } from '../../domain/ingestion.ts';
import type { JsonObject } from '../../domain/json.ts';
import {
  deleteIngestSecret,
  readIngestSecret,
  verifyingSecrets,
  writeIngestSecret,
  type IngestSecretState,
} from '../../postgres/ingest-secrets.ts';
import { ingestStore } from '../../postgres/ingestion.ts';
import { ingestSourceEvent } from '../../sharing/ingest.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { sentencesOf } from '../decision-problems.ts';
import { UnreadableRequest } from '../errors.ts';
import { parseBody, pathId } from '../requests.ts';
import { ingestionContracts, secretBody } from '../schemas/ingestion.ts';

const MIB = 1024 * 1024;
/** How far the signed time may be from ours, in seconds. */
const WINDOW = 300;

/** Receiving Didit's own webhooks, and the secret that proves them. */
export function ingestionRoutes(app: FastifyInstance, { tenants, style, publicUrl }: AppDeps): void {
  const reads = { resource: 'webhooks', access: 'read' } as const;
  const writes = { resource: 'webhooks', access: 'write' } as const;

  const setup = (applicationId: string, state: IngestSecretState | null) => ({
    configured: state !== null,
    url: `${publicUrl}/v1/ingest/didit/${applicationId}/`,
    updated_at: state?.updatedAt ?? null,
    previous_secret_until: state?.previousUntil ?? null,
  });

  app.route({
    method: 'PUT',
    url: '/v1/ingest/didit/',
    config: { needs: writes, contract: ingestionContracts.configure },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const { secret_shared_key: secret } = parseBody(secretBody, request);
      const state = await tenants.withTenant(applicationId, (tx, sql) => {
        tx.events.record([{ type: 'ingest_secret.replaced', applicationId }], actorOf(request));
        return writeIngestSecret(sql, tx.sealer, applicationId, secret);
      });
      return setup(applicationId, state);
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/ingest/didit/',
    config: { needs: reads, contract: ingestionContracts.read },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const state = await tenants.withTenant(applicationId, (_tx, sql) => readIngestSecret(sql, applicationId));
      return setup(applicationId, state);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/v1/ingest/didit/',
    config: { needs: writes, contract: ingestionContracts.remove },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      await tenants.withTenant(applicationId, async (tx, sql) => {
        if (!(await deleteIngestSecret(sql, applicationId))) throw new Refusal('not_found');
        tx.events.record([{ type: 'ingest_secret.deleted', applicationId }], actorOf(request));
      });
      return reply.code(204).send();
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/ingest/didit/:application_id/',
    config: { needs: 'public', contract: ingestionContracts.receive, keepRawBody: true },
    // A company with all its people and hits.
    bodyLimit: 4 * MIB,
    handler: async (request) => {
      const applicationId = pathId(request, 'application_id', 'not_found');
      const body = objectOf(request);
      const { now, secrets } = await tenants.withTenant(
        applicationId,
        (tx, sql) => verifyingSecrets(sql, tx.sealer, applicationId),
        'ingest',
      );
      checkSignature(request, body, secrets);
      checkTime(request, body, now);
      const reading = readSourceEvent(body);
      if (reading.about === 'else') return { session_id: null, result: 'ignored', ignored_fields: [] };
      if (reading.about === 'nothing') throw invalidFields(sentencesOf(reading.problems));
      const { event } = reading;
      const actor = actorOf(request);
      const { sessionId, result } = await tenants.withTenant(
        applicationId,
        (tx, sql) => ingestSourceEvent(tx, ingestStore(sql, tx.sealer), { applicationId, event, actor }, style),
        'ingest',
      );
      return { session_id: sessionId, result, ignored_fields: event.ignoredFields };
    },
  });
}

function objectOf({ body }: FastifyRequest): JsonObject {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as JsonObject;
  throw new UnreadableRequest('The body is not a JSON object: send one.');
}

/** One refusal for a wrong signature, no secret and no such application: ids are nobody's to find out. */
function checkSignature(request: FastifyRequest, body: JsonObject, secrets: readonly string[]): void {
  const header = (name: string) => {
    const value = request.headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  const signed = isSignedByDidit(
    {
      rawBody: request.rawBody ?? Buffer.alloc(0),
      body,
      signatureV2: header('x-signature-v2'),
      signature: header('x-signature'),
    },
    secrets,
  );
  if (!signed) throw new Refusal('ingest_signature_invalid');
}

/** The header is not signed, so it can only contradict. */
function checkTime(request: FastifyRequest, body: JsonObject, now: number): void {
  const sentAt = sentAtOf(body);
  if (sentAt === null) throw invalidFields({ timestamp: ['Whole Unix seconds are required.'] });
  const header = request.headers['x-timestamp'];
  const contradicts = header !== undefined && header !== String(sentAt);
  if (contradicts || Math.abs(now - sentAt) > WINDOW) throw new Refusal('ingest_timestamp_rejected');
}
