import { randomUUID } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { canonicalJson } from '../../src/crypto/canonical-json.ts';
import { diditSecret, standardSecret } from '../../src/crypto/webhook-signature.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { mediaUrls } from '../../src/media/links.ts';
import { deliveryLedger, dispatchEvents } from '../../src/postgres/deliveries.ts';
import { attemptDelivery } from '../../src/webhooks/attempt-delivery.ts';
import { createWebhookPoster } from '../../src/webhooks/http-post.ts';
import { testAppParts, testSealer } from '../support/app-parts.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { dataUri, someFile } from '../support/files.ts';
import { receive, type Loopback } from '../support/loopback.ts';
import { openedColumns } from '../support/opened-columns.ts';
import { verifyInPython } from '../support/python-verifier.ts';
import { KEYS, testApi, textOf } from '../http/api.ts';
import { mint, takeIn, userDocument } from '../http/documents.ts';

const parts = testAppParts();
const api = testApi(parts);
const poster = createWebhookPoster({ allowHttp: true, allowedPorts: 'any', allowedCidrs: ['127.0.0.0/8'] });
const tools = { poster, shareTokenKeys: KEYS, mediaUrl: mediaUrls(parts), docsUrl: '' };
let receiver: Loopback;
let secret: Buffer;
let answerWith = 200;
const received: { body: string; headers: Record<string, string> }[] = [];

beforeAll(async () => {
  receiver = await receive((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({
        body: Buffer.concat(chunks).toString(),
        headers: request.headers as Record<string, string>,
      });
      response.writeHead(answerWith).end();
    });
  });
  const made = await api.tenants.acrossTenants('provision', (sql) =>
    createWebhookDestination(sql, testSealer, {
      applicationId: api.partner.id,
      url: receiver.url,
      subscribedEvents: ['status.updated'],
    }),
  );
  if (made === null) throw new Error('the destination is new');
  secret = made.secret;
});
afterEach(async () => {
  answerWith = 200;
  await resetClock(api.database.pool);
});
afterAll(async () => {
  await poster.close();
  await receiver.close();
});

/** Imports a session into the partner's application; resolves to the clone's id. */
async function imported(idVerification: JsonObject): Promise<string> {
  const source = await takeIn(
    api,
    api.issuer,
    userDocument({ id_verifications: [{ status: 'Approved', ...idVerification }] }),
  );
  const token = await mint(api, api.issuer, source, api.partner);
  const answer = await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token });
  return textOf(answer, 'session_id');
}

/** Makes what is due, as the sender does, and returns what arrived. */
async function send(): Promise<{ body: string; headers: Record<string, string>; content: JsonObject }> {
  const eventIds = api.wishes.filter(({ wish }) => wish === 'dispatch').map(({ subjectId }) => subjectId);
  await api.tenants.acrossTenants('relay', (tx) => dispatchEvents(tx, { eventIds }));
  const ledger = deliveryLedger(api.tenants, testSealer);
  const claimed = [
    ...(await ledger.claimDue(10)).claimed,
    ...(await Promise.all(
      (
        await api.database.pool.query<{ id: string }>(`select delivery_id as id from delivery where owner = 'run'`)
      ).rows.map(({ id }) => ledger.claimOne(id)),
    )),
  ].filter((delivery) => 'payload' in delivery);
  expect(claimed).toHaveLength(1);
  for (const delivery of claimed) await ledger.record(await attemptDelivery(delivery, tools));
  const last = received.at(-1);
  if (last === undefined) throw new Error('something arrived');
  return { ...last, content: JSON.parse(last.body) as JsonObject };
}

function frontIn(content: JsonObject): string {
  const { id_verifications: items } = content['decision'] as { id_verifications: JsonObject[] };
  return items[0]?.['front_image'] as string;
}

async function open(link: string): Promise<{ status: number; bytes: Buffer }> {
  const { pathname, search } = new URL(link);
  const answer = await api.app.inject({ method: 'GET', url: pathname + search });
  return { status: answer.statusCode, bytes: answer.rawPayload };
}

it('carries links of the partner’s own that open, in a body that still verifies', async () => {
  const file = someFile('image/jpeg');
  const clone = await imported({ front_image: dataUri('image/jpeg', file), first_name: 'Zoë' });
  const { body, headers, content } = await send();
  const link = frontIn(content);
  expect(new URL(link).searchParams.get('application')).toBe(api.partner.id);
  expect(link).toContain(clone);
  expect((await open(link)).bytes.equals(file)).toBe(true);

  expect(body).toBe(canonicalJson(content));
  expect(body).not.toContain('handoff-media:');
  expect(() => new Webhook(standardSecret(secret)).verify(body, headers)).not.toThrow();
  const signature = headers['x-signature-v2'] ?? '';
  expect(verifyInPython([{ body, secret: diditSecret(secret), signature }])).toEqual([true]);
});

/** All that is stored of what events tell, opened. */
async function storedPayloads(): Promise<string> {
  const opened = await openedColumns(api.database.pool, testSealer, parts.media);
  return String(opened['event_payload.payload, opened']);
}

it('makes the links of every attempt anew, and keeps none', async () => {
  const file = someFile('image/jpeg');
  await imported({ front_image: dataUri('image/jpeg', file) });
  answerWith = 500;
  const first = frontIn((await send()).content);
  await shiftClock(api.database.pool, '20 minutes');
  expect((await open(first)).status).toBe(403);
  answerWith = 200;
  const second = await send();
  expect(second.headers['webhook-attempt']).toBe('2');
  expect((await open(frontIn(second.content))).bytes.equals(file)).toBe(true);
  const told = await storedPayloads();
  expect(told).toContain('handoff-media:');
  expect(told).not.toContain('signature=');
});

it('says null for a file that its reader no longer has', async () => {
  const clone = await imported({ front_image: dataUri('image/jpeg', someFile('image/jpeg')) });
  await api.database.pool.query('delete from session_media where session_id = $1', [clone]);
  expect(frontIn((await send()).content)).toBeNull();
});

it('leaves a decision out that fits without its links only', async () => {
  const files = Array.from({ length: 60 }, () => dataUri('image/png', someFile('image/png')));
  // With the references it is stored whole; 60 links are 15 kB more.
  await imported({ extra_files: files, address: 'a'.repeat(54_000) });
  const { body, content } = await send();
  expect(content).toMatchObject({ webhook_type: 'status.updated', decision_omitted: true });
  expect(content).not.toHaveProperty('decision');
  expect(Buffer.byteLength(body)).toBeLessThan(64 * 1024);
  expect((await storedPayloads()).split('a'.repeat(54_000))).toHaveLength(2);
});

it('holds the links of a decision that fits with them', async () => {
  const files = Array.from({ length: 60 }, () => dataUri('image/png', someFile('image/png')));
  await imported({ extra_files: files, address: 'a'.repeat(45_000), note: randomUUID() });
  const { body, content } = await send();
  expect(content).toHaveProperty('decision');
  expect(Buffer.byteLength(body)).toBeGreaterThan(55 * 1024);
  expect(Buffer.byteLength(body)).toBeLessThan(64 * 1024);
});
