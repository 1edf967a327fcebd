import type { FastifyInstance } from 'fastify';
import { Refusal } from '../../domain/failures.ts';
import { reviewId, reviewPosition } from '../../domain/reviews.ts';
import { sessionLifeStore } from '../../postgres/session-life.ts';
import { readReviews } from '../../postgres/session-reviews.ts';
import { addReview, type Review } from '../../sharing/add-review.ts';
import { changeStatus } from '../../sharing/change-status.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { checkBody, orThrow, parseBody, parseQuery, pathId } from '../requests.ts';
import { itemOf, reviewOf } from '../review-answers.ts';
import { addReviewBody, reviewContracts, reviewsQuery, updateStatusBody } from '../schemas/session-reviews.ts';

/** Changing the status of sessions, and their reviews. */
export function sessionReviewRoutes(app: FastifyInstance, { tenants, style }: AppDeps): void {
  const reads = { resource: 'sessions', access: 'read' } as const;
  const writes = { resource: 'sessions', access: 'write' } as const;

  app.route({
    method: 'PATCH',
    url: '/v3/session/:session_id/update-status/',
    config: { needs: writes, contract: reviewContracts.updateStatus },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const sessionId = pathId(request, 'session_id', 'session_not_found');
      const body = checkBody(updateStatusBody, request);
      const readChange = () => {
        const { new_status, comment, nodes_to_resubmit } = orThrow(body);
        return { newStatus: new_status, comment, nodes: nodes_to_resubmit ?? undefined };
      };
      await tenants.withTenant(applicationId, (tx, sql) =>
        changeStatus(tx, sessionLifeStore(sql), { applicationId, sessionId, readChange }, actorOf(request), style),
      );
      return { session_id: sessionId };
    },
  });

  app.route({
    method: 'GET',
    url: '/v3/sessions/:session_id/reviews/',
    config: { needs: reads, contract: reviewContracts.list },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const sessionId = pathId(request, 'session_id', 'session_not_found');
      const { limit, offset, ordering } = parseQuery(reviewsQuery, request);
      const page = { limit, offset, newestFirst: ordering !== 'created_at' };
      const { found, sealer } = await tenants.withTenant(applicationId, async (tx, sql) => ({
        found: await readReviews(sql, applicationId, sessionId, page),
        sealer: tx.sealer,
      }));
      if (found === null) throw new Refusal('session_not_found');
      const key = { applicationId, sessionId };
      const items = found.rows.map((row) => itemOf(row, key, found.session.createdAt, sealer));
      return pageOf(request, page, { count: found.count, items });
    },
  });

  app.route({
    method: 'POST',
    url: '/v3/sessions/:session_id/reviews/',
    config: { needs: writes, contract: reviewContracts.add },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const sessionId = pathId(request, 'session_id', 'session_not_found');
      const { new_status, comment } = parseBody(addReviewBody, request);
      const call = { applicationId, sessionId, label: new_status ?? null, comment };
      const outcome = await tenants.withTenant(applicationId, (tx, sql) =>
        oncePerKey<Review>(request, sql, {
          run: async () => {
            const { position, review } = await addReview(tx, sessionLifeStore(sql), call, actorOf(request), style);
            return { status: 201, resourceId: reviewId(sessionId, position), result: review };
          },
          replay: async (id) => {
            const position = reviewPosition(sessionId, id);
            const page = { limit: 1, offset: position, newestFirst: false };
            const row = (await readReviews(sql, applicationId, sessionId, page))?.rows[0];
            return row?.position === position ? reviewOf(row, { applicationId, sessionId }, tx.sealer) : null;
          },
        }),
      );
      answerWith(reply, outcome);
      return outcome.result;
    },
  });
}
