import type { JsonObject } from '../../src/domain/json.ts';
import type { TestApi } from './api.ts';
import { testSealer } from '../support/app-parts.ts';

/** Bodies of the `status.updated` that a session's application was told, in their order. */
export async function statusEvents(api: TestApi, sessionId: string): Promise<JsonObject[]> {
  const { rows } = await api.database.pool.query<{ applicationId: string; payload: Buffer }>(
    `select e.application_id as "applicationId", p.payload from event e join event_payload p on p.event_id = e.event_id
     where e.session_id = $1 and e.type = 'status.updated' order by e.event_id`,
    [sessionId],
  );
  return rows.map(({ applicationId, payload }) => {
    const context = { applicationId, sessionId, category: 'event', position: 0 };
    return testSealer.openPayload(context, payload) as JsonObject;
  });
}
