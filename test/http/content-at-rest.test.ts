import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { fileTaker } from '../../src/media/file-taker.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { takePartIn } from '../../src/sharing/import-file.ts';
import { testAppParts, testBlindIndex, testSealer } from '../support/app-parts.ts';
import { DIDIT_SECRET, diditBytes, diditHeaders, personDecision, personEvent } from '../support/didit-webhooks.ts';
import { formBytes } from '../support/import-files.ts';
import { testApi, textOf } from './api.ts';
import { businessDocument, mint, takeIn, userDocument } from './documents.ts';

const { media } = testAppParts();
const api = testApi({ media });
beforeAll(async () => {
  await api.call(api.issuer, 'PUT', '/v1/ingest/didit/', { secret_shared_key: DIDIT_SECRET });
});

/** Text that is found wherever it can be read. */
const canary = () => `Canary${randomUUID().replaceAll('-', '')}`;
const plain = (first_name: string) =>
  userDocument({ external_id: randomUUID(), id_verifications: [{ first_name }], metadata: { note: first_name } });

async function ingest(first: string, externalId: string = randomUUID()): Promise<string> {
  const decision = personDecision(externalId, first, { metadata: { note: first } });
  const raw = diditBytes(personEvent(externalId, { decision, metadata: { note: first } }));
  const answer = await api.call(null, 'POST', `/v1/ingest/didit/${api.issuer.id}/`, raw, diditHeaders(raw));
  return textOf(answer, 'session_id');
}

async function create(first: string, more: JsonObject = {}): Promise<string> {
  const settings = { metadata: { note: first }, expected_details: { first_name: first } };
  const body = { workflow_id: api.issuer.workflows.user, ...settings, ...more };
  return textOf(await api.call(api.issuer, 'POST', '/v3/session/', body), 'session_id');
}

/** Takes a file of two sessions in. */
async function importFile(first: string): Promise<string> {
  const rows = [plain(first), plain(first)];
  const content = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const form = await formBytes({ import_type: 'user_verification' }, { name: 'sessions.ndjson', content });
  const created = await api.call(api.issuer, 'POST', '/v3/session/imports/', form.payload, form.headers);
  const handoff = handoffTenants(api.tenants, testSealer, testBlindIndex);
  await takePartIn(
    (work) => handoff.acrossTenants('session_import', (tx) => work(tx)),
    textOf(created, 'uuid'),
    0,
    fileTaker({ tenants: handoff, media }),
  );
  const { rows: made } = await api.database.pool.query<{ id: string }>(
    'select session_id as id from session where external_id = $1',
    [rows[1]?.['external_id']],
  );
  return made[0]?.id ?? '';
}

async function share(first: string): Promise<string> {
  const token = await mint(api, api.issuer, await takeIn(api, api.issuer, plain(first)), api.partner);
  const imported = await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token });
  return textOf(imported, 'session_id');
}

/** The texts that some row of a table holds, in its bytes too. */
async function foundIn(table: string, texts: readonly string[]): Promise<string[]> {
  const { rows } = await api.database.pool.query<{ text: string }>(
    `select t::text || coalesce((select string_agg(encode(decode(hex[1], 'hex'), 'escape'), '')
       from regexp_matches(t::text, '\\\\x((?:[0-9a-f]{2})+)', 'g') hex), '') as text from ${table} t`,
  );
  const all = rows.map(({ text }) => text).join('\n');
  return texts.filter((text) => all.includes(text));
}

/** Each way in which a session gets content, or gets more of it. */
const WAYS: Readonly<Record<string, (first: string) => Promise<string>>> = {
  'taken in': (first) => takeIn(api, api.issuer, plain(first)),
  created: (first) => create(first),
  'created and simulated': (first) => create(first, { sandbox_scenario: 'approved' }),
  'simulated later': async (first) => {
    const created = await api.call(api.issuer, 'POST', '/v3/session/', {
      workflow_id: api.issuer.workflows.user,
      metadata: { note: first },
    });
    const sessionId = textOf(created, 'session_id');
    const token = { 'session-token': textOf(created, 'session_token') };
    await api.call(null, 'POST', `/v3/session/${sessionId}/sandbox/arm/`, { scenario: 'approved' }, token);
    return sessionId;
  },
  'created again for its customer': async (first) => {
    const vendor_data = randomUUID();
    await create('other', { vendor_data });
    return create(first, { vendor_data });
  },
  ingested: (first) => ingest(first),
  'ingested again': async (first) => {
    const externalId = randomUUID();
    await ingest('Other', externalId);
    return ingest(first, externalId);
  },
  'taken in from a file': importFile,
  imported: share,
  reviewed: async (first) => {
    const sessionId = await takeIn(api, api.issuer);
    await api.call(api.issuer, 'POST', `/v3/sessions/${sessionId}/reviews/`, { comment: first });
    return sessionId;
  },
  'imported, then reviewed': async (first) => {
    const sessionId = await share('Other');
    await api.call(api.partner, 'POST', `/v3/sessions/${sessionId}/reviews/`, { comment: first });
    return sessionId;
  },
  'given another status': async (first) => {
    const sessionId = await takeIn(api, api.issuer);
    const change = { new_status: 'Declined', comment: first };
    await api.call(api.issuer, 'PATCH', `/v3/session/${sessionId}/update-status/`, change);
    return sessionId;
  },
};

describe('the content of a session', () => {
  it.each(Object.keys(WAYS))('that was %s is sealed with its data key, and shown to its owner alone', async (way) => {
    const first = canary();
    const sessionId = (await WAYS[way]?.(first)) ?? '';
    const { rows } = await api.database.pool.query<{ key: string; payload: Buffer; owner: string }>(
      `select k.key_id as key, c.payload, k.application_id as owner
       from session_key k join (select session_id, payload from session_check union all
         select session_id, payload from session_home) c using (session_id) where session_id = $1`,
      [sessionId],
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const { key, payload } of rows) {
      expect(payload.includes(first)).toBe(false);
      expect(payload.subarray(0, 17).toString('hex')).toBe(`02${key.replaceAll('-', '')}`);
    }
    const owner = rows[0]?.owner === api.issuer.id ? api.issuer : api.partner;
    const shown = await api.call(owner, 'GET', `/v3/session/${sessionId}/decision/`);
    expect(JSON.stringify(shown.body)).toContain(first);
    // In a list, in its entity's view and among its reviews too.
    expect((await api.call(owner, 'GET', '/v3/sessions/?limit=50')).status).toBe(200);
    expect((await api.call(owner, 'GET', '/v3/users/?limit=50')).status).toBe(200);
    expect((await api.call(owner, 'GET', `/v3/sessions/${sessionId}/reviews/`)).status).toBe(200);
  });

  it('is in no table’s bytes, whichever way it came', async () => {
    const canaries = await Promise.all(
      Object.values(WAYS).map(async (way) => {
        const first = canary();
        await way(first);
        return first;
      }),
    );
    const { rows } = await api.database.pool.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
    );
    for (const { name } of rows) expect(await foundIn(`"${name}"`, canaries), name).toEqual([]);
    // It would have been found.
    const [first = ''] = canaries;
    expect(await foundIn(`(select 1 as n, convert_to('a ${first} b', 'UTF8') as bytes)`, canaries)).toEqual([first]);
  });

  it('of a person who was linked after the mint crosses with the import', async () => {
    const external_id = randomUUID();
    const officers = [{ name: 'Officer', kyc_session_id: external_id }];
    const document = businessDocument({ key_people_checks: [{ status: 'Approved', registry: { officers } }] });
    const token = await mint(api, api.issuer, await takeIn(api, api.issuer, document), api.partner);
    await takeIn(api, api.issuer, { ...plain('Late'), external_id });
    const key = { 'idempotency-key': randomUUID() };
    const redeem = () => api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token }, key);
    const imported = await redeem();
    expect(imported.status).toBe(201);
    expect((await redeem()).body).toEqual(imported.body);
    const [check] = imported.body['key_people_checks'] as { registry: { officers: { kyc_session_id: string }[] } }[];
    const person = check?.registry.officers[0]?.kyc_session_id ?? '';
    const shown = await api.call(api.partner, 'GET', `/v3/session/${person}/decision/`);
    expect(shown).toMatchObject({ status: 200, body: { id_verifications: [{ first_name: 'Late' }] } });
  });
});
