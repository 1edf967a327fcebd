import type { FastifyInstance } from 'fastify';
import { readDecision, type DecisionContent, type DecisionProblem } from '../../domain/decision-intake.ts';
import { invalidFields, Refusal, type FieldErrors } from '../../domain/failures.ts';
import type { JsonObject } from '../../domain/json.ts';
import { readProvenance } from '../../postgres/provenance-reads.ts';
import { decisionOf } from '../../sharing/decision.ts';
import type { StoredDecision } from '../../sharing/ports.ts';
import { deleteSession } from '../../sharing/delete-session.ts';
import { takeInSession } from '../../sharing/take-in.ts';
import type { AppDeps } from '../app.ts';
import { callerOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery, pathId } from '../requests.ts';
import { documentBody, provenanceQuery, sessionContracts } from '../schemas/sharing.ts';

const MIB = 1024 * 1024;

/** Sessions: taking one in, reading its decision, and where it came from. */
export function sessionRoutes(app: FastifyInstance, { tenants, style }: AppDeps): void {
  const reads = { resource: 'sessions', access: 'read' } as const;
  const writes = { resource: 'sessions', access: 'write' } as const;

  app.route({
    method: 'POST',
    url: '/v1/sessions/',
    config: { needs: writes, contract: sessionContracts.takeIn },
    bodyLimit: MIB,
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const content = contentOf(parseBody(documentBody, request) as JsonObject);
      const { sealer, outcome } = await tenants.withTenant(applicationId, async (tx, sql) => {
        const read = (sessionId: string) => tx.sessions.readDecision(applicationId, sessionId);
        const once = await oncePerKey<StoredDecision>(request, sql, {
          run: async () => {
            const { sessionId, created } = await takeInSession(tx, applicationId, content);
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
  for (const path of ['/v3/session/:session_id/decision/', '/v3/session/:session_id/']) {
    app.route({
      method: 'GET',
      url: path,
      config: { needs: reads, contract: sessionContracts.decision },
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
      const { sessionNumber } = await tenants.withTenant(applicationId, (tx) =>
        deleteSession(tx, applicationId, sessionId),
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

/** An index entry of Postgres holds no longer one. */
const MAX_POINTER_CHARACTERS = 500;

function contentOf(document: JsonObject): DecisionContent {
  const reading = readDecision(document);
  if (!reading.ok) throw invalidFields(sentencesOf(reading.problems));
  const tooLong = reading.checks.find(({ people }) =>
    people.some(({ pointer }) => pointer.length > MAX_POINTER_CHARACTERS),
  );
  if (tooLong !== undefined) {
    const sentence = `The path to a kyc_session_id is longer than ${MAX_POINTER_CHARACTERS} characters: flatten it.`;
    throw invalidFields({ [`${tooLong.category}.${tooLong.position}`]: [sentence] });
  }
  return reading;
}

function sentencesOf(problems: readonly DecisionProblem[]): FieldErrors {
  const fields = new Map<string, string[]>();
  for (const { field, message } of problems.slice(0, 20)) {
    const name = field.slice(0, 100);
    fields.set(name, [...(fields.get(name) ?? []), message]);
  }
  return Object.fromEntries(fields);
}
