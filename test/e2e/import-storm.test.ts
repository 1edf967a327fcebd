import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { deadlocksOf, shareLab, userDocument, type LabBrand } from '../support/share-lab.ts';

const CALLS = 1000;
const KEY = `storm:${randomBytes(32).toString('base64url')}`;

const lab = shareLab();
let servers: ServerProcess[] = [];
beforeAll(async () => {
  const start = () => startServerProcess({ databaseUrl: lab.database.url, shareTokenKeys: KEY });
  servers = await Promise.all([start(), start()]);
});
afterAll(() => Promise.all(servers.map((server) => server.stop())));

interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

/** Sends one call to the nth server, counted round. */
async function post(nth: number, as: LabBrand, path: string, body: JsonObject): Promise<Answer> {
  const server = servers[nth % servers.length];
  const response = await fetch(new URL(path, server?.url), {
    method: 'POST',
    headers: { 'x-api-key': as.key, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as JsonObject };
}

async function tokenFor(sessionId: string): Promise<string> {
  const { body } = await post(0, lab.issuer, `/v3/session/${sessionId}/share/`, {
    for_application_id: lab.partner.id,
  });
  return String(body['share_token']);
}

/** Imports each text as the partner, all at once, over both servers in turn. */
function importAll(texts: readonly string[]): Promise<Answer[]> {
  return Promise.all(
    texts.map((share_token, nth) =>
      post(nth, lab.partner, '/v3/session/import-shared/', { share_token, trust_review: true }),
    ),
  );
}

/** How often each status came with each code. */
function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const name = typeof body['code'] === 'string' ? `${status} ${body['code']}` : String(status);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function sessionOf(answers: readonly Answer[]): string {
  return String(answers.find(({ status }) => status === 201)?.body['session_id']);
}

/** What a source's imports left behind, by application and type. */
async function leftBehind(sessionId: string, vendorData: string) {
  const [[rows], events] = await Promise.all([
    lab.rows(
      `select (select count(*)::int from session where shared_from_session = $1) as sessions,
         (select count(*)::int from redemption where source_session_id = $1) as redemptions,
         (select count(*)::int from redemption where source_session_id = $1 and released_at is null) as living,
         (select count(*)::int from entity where application_id = $2 and vendor_data = $3) as entities`,
      [sessionId, lab.partner.id, vendorData],
    ),
    lab.rows<{ application_id: string; type: string; count: number }>(
      `select application_id, type, count(*)::int as count from event
       where token_id in (select token_id from share_token where session_id = $1) and sequence is not null group by 1, 2`,
      [sessionId],
    ),
  ]);
  const named = events.map(({ application_id, type, count }) => [
    `${application_id === lab.issuer.id ? 'issuer' : 'partner'} ${type}`,
    count,
  ]);
  return { ...rows, events: Object.fromEntries(named) as Record<string, number> };
}

describe('one token, imported a thousand times at once over two server processes', () => {
  it('makes one import, whichever process a call reaches', async () => {
    const vendorData = `storm-${randomBytes(6).toString('hex')}`;
    const sessionId = await lab.takeIn(userDocument({ vendor_data: vendorData }));
    const token = await tokenFor(sessionId);

    const answers = await importAll(Array.from({ length: CALLS }, () => token));

    expect(tally(answers)).toEqual({ '201': 1, '403 already_imported': CALLS - 1 });
    const imported = sessionOf(answers);
    const named = new Set(answers.flatMap(({ status, body }) => (status === 403 ? [body['existing_session_id']] : [])));
    expect([...named]).toEqual([imported]);
    expect(await leftBehind(sessionId, vendorData)).toEqual({
      sessions: 1,
      redemptions: 1,
      living: 1,
      entities: 1,
      events: { 'issuer share.minted': 1, 'issuer share.imported': 1, 'partner status.updated': 1 },
    });
    expect(await lab.decision(lab.partner, imported)).toMatchObject({ shared_from_session: sessionId });
  });

  it('counts every other spelling of the token as the same token', async () => {
    const vendorData = `spelt-${randomBytes(6).toString('hex')}`;
    const sessionId = await lab.takeIn(userDocument({ vendor_data: vendorData }));
    const spellings = spellingsOf(await tokenFor(sessionId));

    const answers = await importAll(Array.from({ length: 10 }, () => spellings).flat());

    const {
      '201': made = 0,
      '401 share_token_invalid': unread = 0,
      '403 already_imported': again = 0,
    } = tally(answers);
    expect(made).toBe(1);
    expect(made + unread + again).toBe(answers.length);
    // The plain spelling alone accounts for nine of them.
    expect(again).toBeGreaterThanOrEqual(9);
    expect(await leftBehind(sessionId, vendorData)).toMatchObject({ sessions: 1, redemptions: 1, entities: 1 });
  });
});

describe('two fresh tokens of one source for one partner', () => {
  it('make one living import when used at once; deleting it frees the pair, and neither used token', async () => {
    for (let round = 0; round < 10; round += 1) {
      const vendorData = `pair-${randomBytes(6).toString('hex')}`;
      const sessionId = await lab.takeIn(userDocument({ vendor_data: vendorData }));
      const tokens = [await tokenFor(sessionId), await tokenFor(sessionId)];

      const answers = await importAll([...tokens, ...tokens]);

      expect(tally(answers)).toEqual({ '201': 1, '403 already_imported': 3 });
      const imported = sessionOf(answers);
      for (const { status, body } of answers) if (status === 403) expect(body['existing_session_id']).toBe(imported);
      expect(await leftBehind(sessionId, vendorData)).toMatchObject({ sessions: 1, redemptions: 1, living: 1 });

      await lab.remove(lab.partner, imported);
      const winner = answers.findIndex(({ status }) => status === 201) % 2;
      const used = tokens[winner] ?? '';
      const unused = tokens[1 - winner] ?? '';
      expect(tally(await importAll([used]))).toEqual({ '403 already_imported': 1 });
      expect(tally(await importAll([unused, used]))).toEqual({ '201': 1, '403 already_imported': 1 });
      expect(await leftBehind(sessionId, vendorData)).toMatchObject({ sessions: 1, redemptions: 2, living: 1 });
    }
  });
});

it('none of it was a deadlock', async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  expect(await deadlocksOf(lab.database.url)).toBe(0);
});

/** Texts that a lenient decoder reads as this very token. */
function spellingsOf(token: string): string[] {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(token.slice(-1));
  // The last digit of a 32-byte signature has two bits that no byte holds.
  const spareBits = [1, 2, 3].map((bits) => token.slice(0, -1) + (alphabet[last ^ bits] ?? ''));
  const [head = '', body = '', mac = ''] = token.split('.');
  const otherAlphabet = mac.replaceAll('-', '+').replaceAll('_', '/');
  return [
    token,
    ...spareBits,
    `${token}=`,
    `${token}\n`,
    ` ${token}`,
    `${head}.${body}.${otherAlphabet}`,
    `${head}=.${body}.${mac}`,
    `${head}.${body}.${mac}.`,
  ];
}
