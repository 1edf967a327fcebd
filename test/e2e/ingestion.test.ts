import { randomUUID } from 'node:crypto';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { expect, test } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { mediaFetchWorkflowId } from '../../src/domain/temporal-names.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { DIDIT_SECRET, diditBytes, diditHeaders, personDecision, personEvent } from '../support/didit-webhooks.ts';
import { expectNoFailedTask } from '../support/runs.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();

/** Sends Didit's webhook about a person whose selfie is behind a link. */
async function send(externalId: string, link: string): Promise<JsonObject> {
  const decision = personDecision(externalId, 'Ana', {
    liveness_checks: [{ status: 'Approved', reference_image: link }],
  });
  const raw = diditBytes(personEvent(externalId, { decision }));
  const url = new URL(`/v1/ingest/didit/${stack.issuer.id}/`, stack.apiUrl);
  const answer = await fetch(url, { method: 'POST', headers: diditHeaders(raw), body: raw });
  expect(answer.status).toBe(200);
  return (await answer.json()) as JsonObject;
}

test('a webhook of Didit’s makes a session, whose files a run fetches, told at once of new ones', async () => {
  const setup = await fetch(new URL('/v1/ingest/didit/', stack.apiUrl), {
    method: 'PUT',
    headers: { 'x-api-key': stack.issuer.key, 'content-type': 'application/json' },
    body: JSON.stringify({ secret_shared_key: DIDIT_SECRET }),
  });
  expect(setup.status).toBe(200);
  const externalId = randomUUID();
  const fetches = async () => {
    const { rows } = await stack.database.pool.query(
      'select state, last_reason as reason from media_fetch where session_id = $1 order by created_at',
      [sessionId],
    );
    return rows as unknown[];
  };

  const first = await send(externalId, `https://127.0.0.1:${await freePort()}/face.jpg?signature=s3cret`);
  const sessionId = String(first['session_id']);
  const run = stack.handoff.temporal.workflow.getHandle(mediaFetchWorkflowId(sessionId));
  await expect.poll(fetches, { timeout: 20_000 }).toEqual([{ state: 'pending', reason: 'connect' }]);
  expect(await run.describe()).toMatchObject({ type: 'MediaFetch', status: { name: 'RUNNING' } });

  expect(await send(externalId, 'https://169.254.169.254/s3cret')).toMatchObject({ result: 'updated' });
  expect(await run.result()).toBe('settled');
  expect(await fetches()).toEqual([{ state: 'failed', reason: 'egress_blocked' }]);
  const history = await run.fetchHistory();
  expectNoFailedTask(history);
  expect(historyToJSON(history)).not.toMatch(/s3cret|127\.0\.0\.1:|Prueba/);
});
