import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { exportText } from '../../audit/export-text.ts';
import { Refusal } from '../../domain/failures.ts';
import { renderStatus } from '../../domain/session-status.ts';
import { listAuditEvents, listEventsOfSession, type AuditRow } from '../../postgres/audit-list.ts';
import {
  readTrailHops,
  readTrailImport,
  readTrailSession,
  readTrailShares,
  type TrailSession,
} from '../../postgres/audit-session.ts';
import { readReviews } from '../../postgres/session-reviews.ts';
import type { DecisionStyle } from '../../sharing/decision.ts';
import type { AppDeps } from '../app.ts';
import { callerOf } from '../auth.ts';
import { pageOf } from '../paging.ts';
import { parseQuery, pathId } from '../requests.ts';
import { itemOf } from '../review-answers.ts';
import { auditContracts, auditQuery, exportQuery } from '../schemas/audit.ts';

/** Of each list in the line of a session. */
const NEWEST = 100;

/** The audit trail of an application: its events, the line of one session, and an export that verifies offline. */
export function auditRoutes(app: FastifyInstance, { tenants, style }: AppDeps): void {
  const reads = { resource: 'audit', access: 'read' } as const;

  app.route({
    method: 'GET',
    url: '/v1/audit/',
    config: { needs: reads, contract: auditContracts.list },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const { limit, offset, ...asked } = parseQuery(auditQuery, request);
      const filter = {
        type: asked.type,
        sessionId: asked.session_id,
        tokenId: asked.token_id,
        subjectId: asked.subject_id,
        actorKind: asked.actor_kind,
        actorId: asked.actor_id,
        requestId: asked.request_id,
        since: asked.since,
        until: asked.until,
      };
      const page = { limit, offset };
      const { count, rows } = await tenants.withTenant(applicationId, (_tx, sql) =>
        listAuditEvents(sql, applicationId, filter, page),
      );
      return pageOf(request, page, { count, items: rows.map(eventItem) });
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/audit/export/',
    config: { needs: reads, contract: auditContracts.export },
    handler: (request, reply) => {
      const { applicationId } = callerOf(request);
      const time = parseQuery(exportQuery, request);
      const text = exportText(
        (work) => tenants.withTenant(applicationId, (_tx, sql) => work(sql)),
        applicationId,
        time,
      );
      return reply
        .type('application/x-ndjson; charset=utf-8')
        .header('content-disposition', 'attachment; filename="audit.ndjson"')
        .send(Readable.from(text));
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/audit/sessions/:session_id/',
    // It tells as much as the session itself.
    config: {
      needs: { ...reads, also: { resource: 'sessions', access: 'read' } },
      contract: auditContracts.session,
    },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const sessionId = pathId(request, 'session_id', 'session_not_found');
      return tenants.withTenant(
        applicationId,
        async (tx, sql) => {
          const [session, imported, hops, shares, reviews] = await Promise.all([
            readTrailSession(sql, applicationId, sessionId),
            readTrailImport(sql, applicationId, sessionId),
            readTrailHops(sql, applicationId, sessionId),
            readTrailShares(sql, applicationId, sessionId, NEWEST),
            readReviews(sql, applicationId, sessionId, { limit: NEWEST, offset: 0, newestFirst: true }),
          ]);
          const tokenId = imported?.token.token_id ?? null;
          const events = await listEventsOfSession(sql, applicationId, { sessionId, tokenId }, NEWEST);
          // Of a session that is gone, the events of its application know.
          if (session === null && imported === null && shares.count + events.count === 0) {
            throw new Refusal('session_not_found');
          }
          const key = { applicationId, sessionId };
          return {
            session_id: sessionId,
            session: session && sessionBody(session, style),
            import: imported,
            hops,
            reviews: {
              count: reviews?.count ?? 0,
              results: (reviews?.rows ?? []).map((row) => ({
                ...itemOf(row, key, reviews?.session.createdAt ?? '', tx.sealer),
                origin: row.activity === null ? 'came_along' : 'own',
              })),
            },
            shares: { count: shares.count, results: shares.rows },
            events: { count: events.count, results: events.rows.map(eventItem) },
          };
        },
        'audit',
      );
    },
  });
}

function sessionBody(session: TrailSession, { businessStatusCase }: DecisionStyle) {
  const written = (status: TrailSession['status']) => renderStatus(session.session_kind, status, businessStatusCase);
  return { ...session, status: written(session.status), first_status: written(session.first_status) };
}

function eventItem(row: AuditRow) {
  return {
    event_id: row.eventId,
    type: row.type,
    subject_id: row.subjectId,
    session_id: row.sessionId,
    token_id: row.tokenId,
    key_id: row.keyId,
    actor: { kind: row.actorKind, id: row.actorId },
    reason: row.reason,
    request_id: row.requestId,
    sequence: row.sequence,
    digest: row.digest,
    before_sha256: row.beforeSha256,
    after_sha256: row.afterSha256,
    created_at: row.createdAt,
    place:
      row.position === null
        ? null
        : {
            position: row.position,
            row_sha256: row.rowSha256,
            chain_sha256: row.chainSha256,
            sealed_at: row.sealedAt,
          },
  };
}
