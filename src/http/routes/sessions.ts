import type { FastifyInstance } from 'fastify';
import { readDecision, type DecisionContent } from '../../domain/decision-intake.ts';
import { invalidFields, Refusal } from '../../domain/failures.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { NewFile } from '../../media/file-types.ts';
import { takeOutFiles } from '../../media/inline-files.ts';
import { storeFiles } from '../../media/store-files.ts';
import { newId } from '../../postgres/new-id.ts';
import { readProvenance } from '../../postgres/provenance-reads.ts';
import { decisionOf } from '../../sharing/decision.ts';
import type { StoredDecision } from '../../sharing/ports.ts';
import { deleteSession } from '../../sharing/delete-session.ts';
import { takeInSession } from '../../sharing/take-in.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { sentencesOf } from '../decision-problems.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery, pathId } from '../requests.ts';
import { deleteBody } from '../schemas/face-retention.ts';
import { documentBody, provenanceQuery, sessionContracts } from '../schemas/sharing.ts';

const MIB = 1024 * 1024;
/** Of a body with files in it, as base64; without them it is a document of 1 MiB at most. */
const MAX_BODY_BYTES = 8 * MIB;

/** Sessions: taking one in, reading its decision, and where it came from. */
export function sessionRoutes(app: FastifyInstance, { tenants, media, style }: AppDeps): void {
  const reads = { resource: 'sessions', access: 'read' } as const;
  const writes = { resource: 'sessions', access: 'write' } as const;

  app.route({
    method: 'POST',
    url: '/v1/sessions/',
    config: { needs: writes, contract: sessionContracts.takeIn, bodySeconds: 120 },
    bodyLimit: MAX_BODY_BYTES,
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const { content, files } = withoutFiles(contentOf(parseBody(documentBody, request) as JsonObject));
      const named = { applicationId, sessionId: newId() };
      const session = { ...named, key: tenants.sealer.newDataKey(named) };
      const stored = await storeFiles(
        { tenants, media },
        files.map((file) => ({ ...file, session })),
      );
      const { sealer, outcome } = await tenants.withTenant(applicationId, async (tx, sql) => {
        const read = (sessionId: string) => tx.sessions.readDecision(applicationId, sessionId);
        const once = await oncePerKey<StoredDecision>(request, sql, {
          run: async () => {
            const { sessionId, created } = await takeInSession(tx, applicationId, content, actorOf(request), {
              session,
              files: stored,
            });
            const result = await read(sessionId);
            if (result === null) throw new Error('a session that was taken in is there');
            return { status: created ? 201 : 200, resourceId: sessionId, result };
          },
          replay: read,
        });
        return { sealer: tx.sealer, outcome: once };
      });
      answerWith(reply, outcome);
      // Rendered after the commit: until then the application's counter is locked.
      return withExternalId(outcome.result, decisionOf(outcome.result, sealer, style));
    },
  });

  // Some of Didit's clients ask without "decision".
  for (const [path, contract] of [
    ['/v3/session/:session_id/decision/', sessionContracts.decision],
    ['/v3/session/:session_id/', sessionContracts.read],
  ] as const) {
    app.route({
      method: 'GET',
      url: path,
      config: { needs: reads, contract },
      handler: async (request) => {
        const { applicationId } = callerOf(request);
        const sessionId = pathId(request, 'session_id', 'session_not_found');
        const { stored, sealer } = await tenants.withTenant(applicationId, async (tx) => ({
          stored: await tx.sessions.readDecision(applicationId, sessionId),
          sealer: tx.sealer,
        }));
        if (stored === null) throw new Refusal('session_not_found');
        return decisionOf(stored, sealer, style);
      },
    });
  }

  app.route({
    method: 'DELETE',
    url: '/v3/session/:session_id/delete/',
    config: { needs: writes, contract: sessionContracts.delete },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const sessionId = pathId(request, 'session_id', 'session_not_found');
      parseBody(deleteBody, request);
      const { sessionNumber } = await tenants.withTenant(applicationId, (tx) =>
        deleteSession(tx, applicationId, sessionId, actorOf(request)),
      );
      // We keep no face templates that could outlive a session.
      return {
        session_id: sessionId,
        session_number: sessionNumber,
        face_retention_outcome: 'none',
        biometric_template_uuid: null,
      };
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/sessions/:session_id/provenance/',
    config: { needs: reads, contract: sessionContracts.provenance },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const sessionId = pathId(request, 'session_id', 'session_not_found');
      const page = parseQuery(provenanceQuery, request);
      const hops = await tenants.withTenant(applicationId, (_tx, sql) =>
        readProvenance(sql, applicationId, sessionId, page),
      );
      if (hops === null) throw new Refusal('session_not_found');
      return pageOf(request, page, { count: hops.count, items: hops.rows });
    },
  });
}

function withExternalId({ session }: StoredDecision, decision: JsonObject): JsonObject {
  return { ...decision, external_id: session.externalId };
}

function contentOf(document: JsonObject): DecisionContent {
  const reading = readDecision(document);
  if (!reading.ok) throw invalidFields(sentencesOf(reading.problems));
  return reading;
}

/** Takes inline files out of a document, of which only so much may be left. */
function withoutFiles(given: DecisionContent): { content: DecisionContent; files: NewFile[] } {
  const { checks, files, problems } = takeOutFiles(given.checks, newId);
  if (problems.length > 0) throw invalidFields(sentencesOf(problems));
  const content = { ...given, checks };
  if (Buffer.byteLength(JSON.stringify(content)) > MIB) {
    throw new Refusal('payload_too_large', { detail: 'Without its files a document holds 1 MiB at most.' });
  }
  return { content, files };
}
