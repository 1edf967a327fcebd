import type { FastifyInstance } from 'fastify';
import { sessionLifeStore } from '../../postgres/session-life.ts';
import { deleteUserSessions, type DeletedSession } from '../../sharing/delete-sessions.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { answerWith, oncePerKeyInBatches } from '../idempotency.ts';
import { parseBody } from '../requests.ts';
import { deleteManyBody, deleteManyContract } from '../schemas/session-deletion.ts';

/** Sessions that one transaction deletes: each has its rows locked until it ends. */
const BATCH = 200;

/** Deleting many sessions at once. */
export function sessionDeletionRoutes(app: FastifyInstance, { tenants }: AppDeps): void {
  app.route({
    method: 'POST',
    url: '/v3/sessions/delete/',
    config: { needs: { resource: 'sessions', access: 'write' }, contract: deleteManyContract },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const body = parseBody(deleteManyBody, request);
      // Sessions that are created meanwhile stay.
      const which =
        body.delete_all === true
          ? {
              upTo: await tenants.withTenant(applicationId, (_tx, sql) =>
                sessionLifeStore(sql).lastUserNumber(applicationId),
              ),
            }
          : { numbers: body.session_numbers ?? [] };
      const outcome = await oncePerKeyInBatches<readonly DeletedSession[]>(
        request,
        (batch) => tenants.withTenant(applicationId, batch),
        {
          nothing: [],
          run: async (earlier, tx, sql) => {
            const gone = await deleteUserSessions(
              tx,
              sessionLifeStore(sql),
              applicationId,
              which,
              BATCH,
              actorOf(request),
            );
            const result = [...earlier, ...gone];
            return { status: 200, resourceId: applicationId, result, unfinished: gone.length === BATCH };
          },
          replay: async () => [],
        },
      );
      answerWith(reply, outcome);
      return {
        results: outcome.result.map(({ sessionId, number }) => ({
          session_id: sessionId,
          session_number: number,
          // We keep no face templates that could outlive a session.
          face_retention_outcome: 'none',
          biometric_template_uuid: null,
        })),
      };
    },
  });
}
