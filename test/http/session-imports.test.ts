import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { csvLines, importTemplate } from '../../src/domain/import-templates.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { ImportProgress } from '../../src/domain/session-import.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { fileTaker } from '../../src/media/file-taker.ts';
import { takePartIn } from '../../src/sharing/import-file.ts';
import type { FileTaker } from '../../src/sharing/ports.ts';
import { testAppParts, testBlindIndex, testSealer } from '../support/app-parts.ts';
import { dataUri, someFile } from '../support/files.ts';
import { formBytes, personRecord } from '../support/import-files.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';

const { media } = testAppParts();
const api = testApi({ media });
const PATH = '/v3/session/imports/';

interface File {
  readonly name?: string;
  readonly content: string | Uint8Array<ArrayBuffer>;
  readonly type?: string;
  readonly field?: string;
}

/** Uploads a file, as a form. */
async function upload(
  as: Brand | string,
  file: File | null,
  fields: Record<string, string> = {},
  more: Record<string, string> = {},
): Promise<Answer> {
  const form = await formBytes(
    { import_type: 'user_verification', ...fields },
    file === null ? undefined : { name: 'sessions.ndjson', ...file },
  );
  return api.call(as, 'POST', PATH, form.payload, { ...form.headers, ...more });
}

const ndjson = (...rows: unknown[]): string =>
  rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join('');

/** Takes one part of an import in, as its run does. */
function takePart(importId: string, part: number, files?: FileTaker): Promise<ImportProgress> {
  const handoff = handoffTenants(api.tenants, testSealer, testBlindIndex);
  return takePartIn(
    (work) => handoff.acrossTenants('session_import', (tx) => work(tx)),
    importId,
    part,
    files ?? fileTaker({ tenants: handoff, media }),
  );
}

/** Takes the whole file in and returns the import as it then is. */
async function finish(as: Brand, created: Answer): Promise<JsonObject> {
  expect(created).toMatchObject({ status: 201 });
  const importId = textOf(created, 'uuid');
  let progress = await takePart(importId, 0);
  while (progress.status === 'processing') progress = await takePart(importId, progress.nextPart);
  return (await api.call(as, 'GET', `${PATH}${importId}/`)).body;
}

async function errorsOf(as: Brand, uuid: unknown): Promise<JsonObject[]> {
  const { body } = await api.call(as, 'GET', `${PATH}${String(uuid)}/errors/?limit=100`);
  expect(body['count']).toBe((body['results'] as JsonObject[]).length);
  return body['results'] as JsonObject[];
}

async function decisionOf(as: Brand, externalId: string): Promise<JsonObject> {
  const { rows } = await api.database.pool.query<{ id: string }>(
    'select session_id as id from session where application_id = $1 and external_id = $2',
    [as.id, externalId],
  );
  expect(rows).toHaveLength(1);
  return (await api.call(as, 'GET', `/v3/session/${rows[0]?.id ?? ''}/decision/`)).body;
}

describe('an upload', () => {
  test('answers with the import, which asks for its run', async () => {
    const brand = await api.newBrand();
    const content = ndjson(personRecord('a'), '', personRecord('b'));
    const created = await upload(brand, { content, name: 'old sessions.ndjson' }, { provider: 'elsewhere' });
    expect(created).toMatchObject({
      status: 201,
      body: {
        status: 'pending',
        import_type: 'user_verification',
        provider: 'elsewhere',
        workflow_id: brand.workflows.user,
        source_filename: 'old sessions.ndjson',
        total_rows: 2,
        processed_rows: 0,
        checkpoint_row: 0,
        last_error: null,
        started_at: null,
        completed_at: null,
      },
    });
    const uuid = textOf(created, 'uuid');
    expect(api.wishes.at(-1)).toMatchObject({ wish: 'start_import', subjectId: uuid });
    expect(await api.call(brand, 'GET', `${PATH}${uuid}/`)).toMatchObject({ status: 200, body: created.body });
    const list = await api.call(brand, 'GET', PATH);
    expect(list.body).toEqual({ count: 1, next: null, previous: null, results: [created.body] });
  });

  test('takes its rows in as single sessions are taken in, with the workflow and the entity', async () => {
    const brand = await api.newBrand();
    const [one, other] = [personRecord('p1'), personRecord('p2', { status: 'IN_REVIEW', vendor_data: null })];
    const same = personRecord('p3', { vendor_data: one['vendor_data'] ?? null });
    const before = api.wishes.length;
    const ended = await finish(brand, await upload(brand, { content: ndjson(one, other, same) }));
    expect(ended).toMatchObject({
      status: 'completed',
      processed_rows: 3,
      created_count: 3,
      skipped_count: 0,
      failed_count: 0,
      checkpoint_row: 3,
      started_at: expect.any(String),
      completed_at: expect.any(String),
    });
    const { session_id: _, session_kind: kind, ...decision } = await decisionOf(brand, 'p1');
    const { external_id: __, session_kind: ___, ...said } = one;
    expect(kind).toBe('user');
    expect(decision).toMatchObject({ ...said, session_number: 1, workflow_id: brand.workflows.user });
    expect(await decisionOf(brand, 'p2')).toMatchObject({ status: 'In Review', session_number: 2 });

    // The same document by the other way.
    const single = await api.newBrand();
    const taken = await api.call(single, 'POST', '/v1/sessions/', one);
    const { session_id: _1, workflow_id: _2, external_id: _3, ...whole } = taken.body;
    const { workflow_id: _4, ...content } = decision;
    expect({ session_kind: kind, ...content }).toEqual(whole);

    const stored = await api.database.pool.query(
      `select session_type, country, document_type, first_status, workflow_version,
         (select count(*)::int from session_search f where f.session_id = s.session_id) as terms
       from session s where application_id = $1 and external_id = 'p1'`,
      [brand.id],
    );
    expect(stored.rows).toEqual([
      {
        session_type: 'MIGRATED',
        country: 'PRT',
        document_type: 'P',
        first_status: 'Approved',
        workflow_version: 1,
        terms: 5,
      },
    ]);
    const entities = await api.database.pool.query(
      'select vendor_data, session_kind from entity where application_id = $1',
      [brand.id],
    );
    expect(entities.rows).toEqual([{ vendor_data: 'customer of p1', session_kind: 'user' }]);
    // Nobody is told of history.
    expect(api.wishes.slice(before).map(({ wish }) => wish)).toEqual(['start_import']);
    const events = await api.database.pool.query(
      `select type, actor_kind, sequence, count(*)::int as count from event where application_id = $1 group by 1, 2, 3`,
      [brand.id],
    );
    const alone = { actor_kind: 'session_import', sequence: null };
    expect(events.rows).toEqual(
      expect.arrayContaining([
        { type: 'session_import.started', actor_kind: 'api_key', sequence: null, count: 1 },
        { type: 'session.created', ...alone, count: expect.any(Number) },
        { type: 'session_import.completed', ...alone, count: 1 },
      ]),
    );
  });

  test('links the people of companies by external id, whichever file comes first', async () => {
    const brand = await api.newBrand();
    const company = (externalId: string, ...people: string[]) => ({
      external_id: externalId,
      status: 'APPROVED',
      key_people_checks: [{ status: 'Approved', registry: { officers: people.map((id) => ({ kyc_session_id: id })) } }],
    });
    await finish(brand, await upload(brand, { content: ndjson(personRecord('before')) }));
    const companies = { content: ndjson(company('company', 'before', 'after')) };
    await finish(brand, await upload(brand, companies, { import_type: 'business_verification' }));
    await finish(brand, await upload(brand, { content: ndjson(personRecord('after')) }));
    const [before, after] = [await decisionOf(brand, 'before'), await decisionOf(brand, 'after')];
    expect(await decisionOf(brand, 'company')).toMatchObject({
      status: 'APPROVED',
      workflow_id: brand.workflows.business,
      key_people_checks: [
        {
          registry: {
            officers: [{ kyc_session_id: before['session_id'] }, { kyc_session_id: after['session_id'] }],
          },
        },
      ],
    });
  });

  test('takes the file as the whole body too, with the fields in the query', async () => {
    const brand = await api.newBrand();
    const rows = ndjson(personRecord('raw'));
    const query = '?import_type=user_verification&provider=x';
    const created = await api.call(brand, 'POST', PATH + query, rows, { 'content-type': 'application/x-ndjson' });
    expect(await finish(brand, created)).toMatchObject({ created_count: 1, source_filename: null, provider: 'x' });
    const csv = importTemplate('user_verification', 'csv');
    const other = await api.call(brand, 'POST', PATH + query, csv, { 'content-type': 'text/csv; charset=utf-8' });
    expect(await finish(brand, other)).toMatchObject({ created_count: 1 });
  });

  test('with NUL in a field is refused, in a form and in a query', async () => {
    const [file, told] = [{ content: ndjson(personRecord('never')) }, [expect.stringContaining('NUL')]];
    const nul = { status: 400, body: { provider: told, code: 'invalid_request' } };
    expect(await upload(api.issuer, file, { provider: 'a\0b' })).toMatchObject(nul);
    const query = `${PATH}?import_type=user_verification&provider=a%00b`;
    const ndjsonType = { 'content-type': 'application/x-ndjson' };
    expect(await api.call(api.issuer, 'POST', query, file.content, ndjsonType)).toMatchObject(nul);
    expect(await upload(api.issuer, file, { 'a\0b': 'x' })).toMatchObject({ status: 400, body: { detail: told } });
  });

  test('with a field twice is refused, also where one is empty or of no use', async () => {
    const type = { 'content-type': 'multipart/form-data; boundary=x' };
    const field = (name: string, value: string) =>
      `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    const file = `--x\r\nContent-Disposition: form-data; name="file"; filename="a.ndjson"\r\n\r\n{}\r\n`;
    for (const [name, first, second] of [
      ['provider', 'a', 'b'],
      ['import_type', 'user_verification', 'user_verification'],
      ['workflow_id', '', 'x'],
    ] as const) {
      const body = `${field(name, first)}${field(name, second)}${file}--x--\r\n`;
      expect(await api.call(api.issuer, 'POST', PATH, body, type)).toMatchObject({
        status: 400,
        body: { [name]: ['Give it once.'], code: 'invalid_request' },
      });
    }
    const query = `${PATH}?import_type=user_verification&provider=a&provider=b`;
    const twice = await api.call(api.issuer, 'POST', query, '{}\n', { 'content-type': 'application/x-ndjson' });
    expect(twice).toMatchObject({ status: 400, body: { provider: ['Give it once.'] } });
  });

  test('in UTF-16 is told to be UTF-8, with or without its mark', async () => {
    const text = 'external_id,status\r\na,Approved\r\n';
    for (const content of [text, `\u{feff}${text}`]) {
      for (const bytes of [Buffer.from(content, 'utf16le'), Buffer.from(content, 'utf16le').swap16()]) {
        const refused = await upload(api.issuer, { content: Uint8Array.from(bytes), name: 'x.csv' });
        expect(refused).toMatchObject({
          status: 400,
          body: { file: [expect.stringMatching(/^The file is not UTF-8/)] },
        });
        expect(JSON.stringify(refused.body)).not.toContain('\\u0000');
      }
    }
  });

  test('is refused while ten imports are open, also when many come at once', async () => {
    const brand = await api.newBrand();
    const file = { content: ndjson(personRecord('many')) };
    const open = [];
    for (let count = 0; count < 9; count += 1) open.push(await upload(brand, file));
    expect(open.map(({ status }) => status)).toEqual(Array(9).fill(201));
    const pair = await Promise.all([upload(brand, file), upload(brand, file)]);
    expect(pair.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409]);
    expect(pair.find(({ status }) => status === 409)?.body).toEqual({
      detail: 'Ten imports of this application are open. Wait until one has ended, or cancel one.',
      code: 'too_many_imports',
    });
    expect(await upload(api.issuer, file)).toMatchObject({ status: 201 });
    await api.call(brand, 'POST', `${PATH}${String(open[0]?.body['uuid'])}/cancel/`, {});
    expect(await upload(brand, file)).toMatchObject({ status: 201 });
  });

  test('has its rows in the application’s version of the named workflow', async () => {
    const brand = await api.newBrand();
    const fields = { workflow_id: brand.workflows.user.toUpperCase() };
    const created = await upload(brand, { content: ndjson(personRecord('w')) }, fields);
    expect(created.body['workflow_id']).toBe(brand.workflows.user);
  });

  test.for<[string, File | null, Record<string, string>, unknown]>([
    ['no file', null, {}, { file: ['No file was submitted. Send one as `file` in multipart/form-data.'] }],
    ['an empty file', { content: '' }, {}, { file: ['The submitted file is empty.'] }],
    ['a file of empty lines', { content: '\n \r\n' }, {}, { file: ['The submitted file is empty.'] }],
    ['a file in another field', { content: '{}', field: 'upload' }, {}, { file: [expect.stringContaining('name it')] }],
    [
      'no UTF-8',
      { content: Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d) },
      {},
      { file: [expect.stringContaining('not UTF-8')] },
    ],
    [
      'an unknown type',
      { content: '{}' },
      { import_type: 'transactions' },
      { import_type: ['Must be one of: user_verification, business_verification.'] },
    ],
    [
      'a link instead of a file',
      null,
      { source_file_url: 'https://files.example/x' },
      { source_file_url: [expect.stringContaining('send the file itself')] },
    ],
    ['a provider too long', { content: '{}' }, { provider: 'x'.repeat(65) }, { provider: [expect.any(String)] }],
  ])('with %s is refused', async ([, file, fields, expected]) => {
    const imports = async () => (await api.rows())['session_import'];
    const before = await imports();
    const refused = await upload(api.issuer, file, fields);
    expect(refused).toMatchObject({ status: 400, body: { ...(expected as JsonObject), code: 'invalid_request' } });
    expect(await imports()).toEqual(before);
  });

  test('refuses a workflow that is not there, of another brand or of the other kind', async () => {
    const file = { content: ndjson(personRecord('never')) };
    for (const id of ['nonsense', randomUUID(), api.partner.workflows.user]) {
      expect(await upload(api.issuer, file, { workflow_id: id })).toMatchObject({
        status: 404,
        body: { code: 'workflow_not_found', field: 'workflow_id' },
      });
    }
    expect(await upload(api.issuer, file, { workflow_id: api.issuer.workflows.business })).toMatchObject({
      status: 400,
      body: { workflow_id: [expect.stringContaining('user_verification needs a KYC workflow')] },
    });
    const brand = await api.newBrand();
    await api.database.pool.query('update verification_workflow set is_default = false where application_id = $1', [
      brand.id,
    ]);
    expect(await upload(brand, file)).toMatchObject({ status: 400, body: { workflow_id: [expect.any(String)] } });
  });

  test(
    'refuses more than 25 MB, in a form and as a body, over a connection that stays',
    { timeout: 60_000 },
    async () => {
      const content = new Uint8Array(25 * 1024 * 1024 + 1).fill(0x20);
      const origin = await api.app.listen({ host: '127.0.0.1', port: 0 });
      const form = await formBytes({ import_type: 'user_verification' }, { name: 'x.ndjson', content });
      for (const [path, type, body] of [
        [PATH, form.headers['content-type'] ?? '', new Uint8Array(form.payload)],
        [`${PATH}?import_type=user_verification`, 'application/x-ndjson', content],
        [`${PATH}?import_type=user_verification`, 'text/csv', content],
      ] as const) {
        const headers = { 'x-api-key': api.issuer.key, 'content-type': type };
        const refused = await fetch(new URL(path, origin), { method: 'POST', headers, body });
        expect(refused.status).toBe(413);
        expect(await refused.json()).toMatchObject({
          code: 'payload_too_large',
          detail: expect.stringContaining('25 MB'),
        });
      }
    },
  );

  test('names every field that is missing at once', async () => {
    const form = await formBytes({ provider: 'x', source_file_url: 'https://x.example/' });
    expect(await api.call(api.issuer, 'POST', PATH, form.payload, form.headers)).toMatchObject({
      status: 400,
      body: {
        import_type: [expect.any(String)],
        file: [expect.any(String)],
        source_file_url: [expect.any(String)],
        code: 'invalid_request',
      },
    });
  });

  test('of an application that has two under way is told to come again; others are taken', async () => {
    const [brand, other] = [await api.newBrand(), await api.newBrand()];
    const file = { content: ndjson(personRecord('slot')) };
    const holder = await api.database.pool.connect();
    await holder.query('begin');
    await holder.query('lock table session_import_part in access exclusive mode');
    const held = [upload(brand, file), upload(brand, file)];
    const waiting = async () => (await api.database.pool.query('select 1 from pg_locks where not granted')).rows.length;
    await expect.poll(waiting).toBe(2);
    expect(await upload(brand, file)).toMatchObject({
      status: 503,
      body: { code: 'service_unavailable' },
      headers: { 'retry-after': expect.stringMatching(/^\d+$/) },
    });
    held.push(upload(other, file));
    await expect.poll(waiting).toBe(3);
    await holder.query('rollback');
    holder.release();
    for (const answer of await Promise.all(held)) expect(answer.status).toBe(201);
    expect(await upload(brand, file)).toMatchObject({ status: 201 });
  });

  test('has at most 250,000 rows', async () => {
    const rows = (count: number) => '1\n'.repeat(count);
    expect(await upload(api.issuer, { content: rows(250_001) })).toMatchObject({
      status: 400,
      body: { file: [expect.stringContaining('250,000 rows')] },
    });
    const most = await upload(api.issuer, { content: rows(250_000) });
    expect(most).toMatchObject({ status: 201, body: { total_rows: 250_000 } });
    const { rows: parts } = await api.database.pool.query(
      `select count(*)::int as count, min(position) as first, max(position) as last from session_import_part where import_id = $1`,
      [textOf(most, 'uuid')],
    );
    expect(parts).toEqual([{ count: 1_250, first: 0, last: 1_249 }]);
    await api.call(api.issuer, 'POST', `${PATH}${textOf(most, 'uuid')}/cancel/`, {});
  });

  test('refuses what is no form, two files, and other types of bodies', async () => {
    const call = (type: string, body: unknown) => api.call(api.issuer, 'POST', PATH, body, { 'content-type': type });
    for (const [type, body] of [
      ['multipart/form-data', 'x'],
      ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n{'],
      ['multipart/form-data; boundary=x', 'nothing of the kind'],
      [
        'multipart/form-data; boundary=x',
        '--x\r\nContent-Disposition: form-data; name="__proto__"\r\n\r\n1\r\n--x--\r\n',
      ],
    ] as const) {
      expect(await call(type, body)).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    }
    const form = new FormData();
    for (const name of ['a', 'b']) form.append('file', new Blob([ndjson(personRecord(name))]), `${name}.ndjson`);
    form.set('import_type', 'user_verification');
    const request = new Request('http://x/', { method: 'POST', body: form });
    const twice = await call(request.headers.get('content-type') ?? '', Buffer.from(await request.arrayBuffer()));
    expect(twice).toMatchObject({ status: 400, body: { file: ['Send one file.'] } });
    expect(await call('application/pdf', 'x')).toMatchObject({
      status: 415,
      body: { detail: expect.stringContaining('multipart/form-data') },
    });
    expect(await call('application/json', {})).toMatchObject({ status: 400, body: { file: [expect.any(String)] } });
    expect(await call('application/json', { source_file_url: 'https://x.example/' })).toMatchObject({
      body: { source_file_url: [expect.any(String)] },
    });
    // No other route takes a form.
    const form2 = await formBytes({ import_type: 'user_verification' });
    expect(await api.call(api.issuer, 'POST', '/v1/sessions/', form2.payload, form2.headers)).toMatchObject({
      status: 415,
    });
  });

  test('needs to write sessions, and reading needs to read them', async () => {
    const file = { content: ndjson(personRecord('never')) };
    expect(await upload(await api.newKey(api.issuer, { sessions: 'read' }), file)).toMatchObject({ status: 403 });
    const other = await api.newKey(api.issuer, { webhooks: 'write' });
    expect(await upload(other, file)).toMatchObject({ status: 403, body: { code: 'permission_denied' } });
    const id = randomUUID();
    for (const path of ['', 'template/?import_type=user_verification', `${id}/`, `${id}/errors/`]) {
      expect(await api.call(other, 'GET', PATH + path)).toMatchObject({ status: 403 });
      expect(await api.call(null, 'GET', PATH + path)).toMatchObject({ status: 401 });
    }
    const reader = await api.newKey(api.issuer, { sessions: 'read' });
    expect(await api.call(reader, 'POST', `${PATH}${id}/cancel/`, {})).toMatchObject({ status: 403 });
  });

  test('happens once for an Idempotency-Key, though each form has a boundary of its own', async () => {
    const brand = await api.newBrand();
    const key = { 'idempotency-key': randomUUID() };
    const file = { content: ndjson(personRecord('once')) };
    const first = await upload(brand, file, {}, key);
    const again = await upload(brand, file, {}, key);
    expect(again).toMatchObject({ status: 201, body: first.body, headers: { 'idempotent-replayed': 'true' } });
    for (const changed of [
      await upload(brand, { content: ndjson(personRecord('other')) }, {}, key),
      await upload(brand, file, { provider: 'other' }, key),
      await upload(brand, { ...file, name: 'other.ndjson' }, {}, key),
    ]) {
      expect(changed).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    }
    expect((await api.call(brand, 'GET', PATH)).body['count']).toBe(1);
  });
});

describe('a row', () => {
  test('that is bad is reported with its line and reason, and the others are taken in', async () => {
    const brand = await api.newBrand();
    await api.call(brand, 'POST', '/v1/sessions/', {
      external_id: 'a-company',
      session_kind: 'business',
      status: 'APPROVED',
    });
    const deep = JSON.parse('['.repeat(200) + ']'.repeat(200)) as unknown;
    const rows: [unknown, string | null][] = [
      [personRecord('good'), null],
      ['{"external_id": "cut', 'not JSON'],
      ['"text"', 'not a JSON object'],
      [{ external_id: 'no-status' }, 'status: It is missing'],
      [{ status: 'Approved' }, 'external_id: It is missing'],
      [{ external_id: '', status: 'Approved' }, 'external_id: It is empty'],
      [{ external_id: 7, status: 'Approved' }, 'external_id: It is not text'],
      [{ external_id: 'x'.repeat(256), status: 'Approved' }, 'external_id: Ensure'],
      [{ external_id: 'long', status: 'Approved', vendor_data: 'x'.repeat(513) }, 'vendor_data: Ensure'],
      [{ external_id: 'kind', session_kind: 'business', status: 'Approved' }, 'session_kind: This file'],
      [{ external_id: 'other', status: 'Approved', environment: 'live' }, 'environment: This import is in sandbox'],
      [{ external_id: 'unknown', status: 'Approved', name: 'Ada' }, 'name: Unknown field'],
      ['{"external_id":"nul","status":"Approved","vendor_data":"\\u0000"}', 'NUL'],
      ['{"external_id":"half","status":"Approved","vendor_data":"\\ud800"}', 'half a surrogate'],
      ['{"external_id":"endless","status":"Approved","metadata":{"n":1e999}}', 'beyond all bounds'],
      ['{"external_id":"proto","status":"Approved","metadata":{"__proto__":1}}', '__proto__'],
      [{ external_id: 'deep', status: 'Approved', metadata: deep }, 'metadata: It nests deeper'],
      [
        `{"external_id":"deeper","status":"Approved","metadata":${'['.repeat(8_000)}${']'.repeat(8_000)}}`,
        'metadata: It nests deeper',
      ],
      [
        `{"external_id":"deepest","status":"Approved","metadata":${'['.repeat(5e5)}${']'.repeat(5e5)}}`,
        'metadata: It nests deeper',
      ],
      [{ external_id: 'a-company', status: 'Approved' }, 'external_id: A session of the other kind'],
      [`{"external_id":"big","status":"Approved","metadata":"${'x'.repeat(1024 * 1024)}"}`, 'longer than 1 MiB'],
      [personRecord('last'), null],
    ];
    const ended = await finish(brand, await upload(brand, { content: ndjson(...rows.map(([row]) => row)) }));
    const bad = rows.flatMap(([, error], index) => (error === null ? [] : [[index + 1, error] as const]));
    expect(ended).toMatchObject({
      status: 'completed',
      total_rows: rows.length,
      processed_rows: rows.length,
      created_count: 2,
      skipped_count: 0,
      failed_count: bad.length,
      checkpoint_row: rows.length,
    });
    const errors = await errorsOf(brand, ended['uuid']);
    expect(errors.map((error) => error['row_number'])).toEqual(bad.map(([row]) => row));
    for (const [index, [, sentence]] of bad.entries()) expect(errors[index]?.['error']).toContain(sentence);
    expect(errors[0]).toMatchObject({ external_id: null, raw_row: '{"external_id": "cut' });
    expect(errors[2]).toMatchObject({ external_id: 'no-status', raw_row: { external_id: 'no-status' } });
    expect(String(errors.at(-1)?.['raw_row']).length).toBeLessThan(2_000);
    await decisionOf(brand, 'good');
    await decisionOf(brand, 'last');
  });

  test('that is there already is skipped, in another file, in the same one, and as a single session', async () => {
    const brand = await api.newBrand();
    await api.call(brand, 'POST', '/v1/sessions/', personRecord('single'));
    const content = ndjson(personRecord('one'), personRecord('single'), personRecord('one', { status: 'Declined' }));
    expect(await finish(brand, await upload(brand, { content }))).toMatchObject({
      created_count: 1,
      skipped_count: 2,
      failed_count: 0,
    });
    expect(await decisionOf(brand, 'one')).toMatchObject({ status: 'Approved' });
    const again = ndjson(personRecord('one'), personRecord('two'));
    expect(await finish(brand, await upload(brand, { content: again }))).toMatchObject({
      created_count: 1,
      skipped_count: 1,
    });
    const { rows } = await api.database.pool.query(
      `select array_agg(session_number::int order by session_number) as numbers,
         (select living::int from session_counter c where c.application_id = $1 and session_kind = 'user') as living
       from session where application_id = $1`,
      [brand.id],
    );
    expect(rows).toEqual([{ numbers: [1, 2, 3], living: 3 }]);
  });

  test('in a part of several hundred comes in once, whoever takes it in at the same time', async () => {
    const brand = await api.newBrand();
    const names = Array.from({ length: 450 }, (_, index) => `n${index}`);
    const content = ndjson(...names.map((external_id) => ({ external_id, status: 'Approved' })));
    const [one, other] = [
      await upload(brand, { content }),
      await upload(brand, { content: content.split('\n').toReversed().join('\n') }),
    ];
    // The same part by two workers, two files with the same rows, and single calls between them.
    const uuid = textOf(one, 'uuid');
    const twice = await Promise.all([takePart(uuid, 0), takePart(uuid, 0), takePart(uuid, 1), finish(brand, other)]);
    expect(twice[0]).toEqual(twice[1]);
    const single = await Promise.all(
      names
        .slice(0, 5)
        .map((external_id) =>
          api.call(brand, 'POST', '/v1/sessions/', { external_id, session_kind: 'user', status: 'Approved' }),
        ),
    );
    expect(single.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    const ended = await finish(brand, one);
    expect(ended).toMatchObject({ status: 'completed', processed_rows: 450, failed_count: 0 });
    expect(Number(ended['created_count']) + Number(twice[3]['created_count'])).toBe(450);
    const { rows } = await api.database.pool.query(
      'select count(*)::int as sessions, count(distinct external_id)::int as ids, max(session_number)::int as last from session where application_id = $1',
      [brand.id],
    );
    expect(rows).toEqual([{ sessions: 450, ids: 450, last: 450 }]);
  });
});

describe('a CSV file', () => {
  const HEADER = ['external_id', 'status', 'first_name', 'last_name', 'vendor_data'];
  const csv = (...rows: string[][]) => csvLines([HEADER, ...rows]);

  test.for(['user_verification', 'business_verification'] as const)('of the template of %s imports', async (type) => {
    for (const format of ['csv', 'ndjson'] as const) {
      const brand = await api.newBrand();
      const path = `${PATH}template/?import_type=${type}&format=${format}`;
      const template = await api.app.inject({ url: path, headers: { 'x-api-key': brand.key } });
      expect(template.statusCode).toBe(200);
      expect(template.headers['content-disposition']).toContain(`${type}.${format}`);
      const created = await upload(brand, { content: template.body, name: `t.${format}` }, { import_type: type });
      const ended = await finish(brand, created);
      expect(ended).toMatchObject({ created_count: 1, failed_count: 0 });
      const user = type === 'user_verification';
      expect(await decisionOf(brand, user ? 'example-person-1' : 'example-company-1')).toMatchObject({
        created_at: '2024-05-17T08:42:11.000000Z',
        metadata: { source: 'earlier provider' },
        ...(user
          ? {
              status: 'Approved',
              id_verifications: [{ status: 'Approved', full_name: 'Ada Example', document_number: 'EX0000001' }],
              liveness_checks: [{ score: 98.4 }],
            }
          : {
              status: 'APPROVED',
              registry_checks: [{ company: { company_name: 'Example Trading Ltd', country_code: 'GB' } }],
              key_people_checks: [{ status: 'Approved' }],
            }),
      });
    }
    expect(await api.call(api.issuer, 'GET', `${PATH}template/?import_type=status_rules`)).toMatchObject({
      status: 400,
    });
  });

  test('may have a byte order mark, either line end, quotes and empty lines; rows count as in a spreadsheet', async () => {
    const brand = await api.newBrand();
    const content = [
      '\u{feff}External_ID , status,first_name,last_name,vendor_data\r\n',
      'a,Approved,"Ana ""A."" Maria","Lines\r\nof, name",1\r\n',
      '\n',
      'b,Approvedd,Bo,,\n',
      'c,APPROVED,Cé,,',
    ].join('');
    const ended = await finish(brand, await upload(brand, { content, name: 'x.CSV' }));
    expect(ended).toMatchObject({ total_rows: 3, created_count: 2, failed_count: 1, checkpoint_row: 5 });
    expect(await decisionOf(brand, 'a')).toMatchObject({
      vendor_data: '1',
      id_verifications: [{ first_name: 'Ana "A." Maria', last_name: 'Lines\r\nof, name' }],
    });
    expect(await decisionOf(brand, 'c')).toMatchObject({ vendor_data: null, id_verifications: [{ first_name: 'Cé' }] });
    expect(await errorsOf(brand, ended['uuid'])).toEqual([
      {
        row_number: 4,
        external_id: 'b',
        error: expect.stringContaining('status: Unknown status'),
        raw_row: { external_id: 'b', status: 'Approvedd', first_name: 'Bo', last_name: '', vendor_data: '' },
      },
    ]);
  });

  test('may have the line ends of old spreadsheets', async () => {
    const brand = await api.newBrand();
    const content = 'external_id,status,first_name\ra,Approved,Ana\r\rb,Bad,Bo\r';
    const ended = await finish(brand, await upload(brand, { content, name: 'x.csv' }));
    expect(ended).toMatchObject({ total_rows: 2, created_count: 1, failed_count: 1, checkpoint_row: 4 });
    expect(await decisionOf(brand, 'a')).toMatchObject({ id_verifications: [{ first_name: 'Ana' }] });
  });

  test('has a row with too few cells or bad JSON reported, and its decision_json go with the cells', async () => {
    const brand = await api.newBrand();
    const content = csvLines([
      ['external_id', 'status', 'first_name', 'email', 'decision_json', 'metadata_json'],
      ['short', 'Approved'],
      ['bad', 'Approved', '', '', '{', ''],
      ['list', 'Approved', '', '', '[]', ''],
      ['meta', 'Approved', '', '', '', 'x'],
      [
        'both',
        'Declined',
        'Cell',
        'a@b.example',
        JSON.stringify({ status: 'Approved', id_verifications: [{ status: 'Declined', first_name: 'Json' }] }),
        '[1]',
      ],
    ]);
    const ended = await finish(brand, await upload(brand, { content, name: 'x.csv' }));
    expect((await errorsOf(brand, ended['uuid'])).map((error) => [error['row_number'], error['error']])).toEqual([
      [2, expect.stringContaining('2 cells and the header 6')],
      [3, expect.stringContaining('decision_json')],
      [4, expect.stringContaining('decision_json')],
      [5, expect.stringContaining('metadata_json')],
    ]);
    expect(await decisionOf(brand, 'both')).toMatchObject({
      status: 'Declined',
      metadata: [1],
      id_verifications: [{ first_name: 'Json' }],
      email_verifications: [{ status: 'Declined', email: 'a@b.example' }],
    });
  });

  test('has rows reported whose cells are no facts, every cell of them, under their external id', async () => {
    const brand = await api.newBrand();
    const content = csvLines([
      [
        'external_id',
        'status',
        'date_of_birth',
        'expiration_date',
        'nationality',
        'issuing_state',
        'email',
        'phone_number',
        'metadata_json',
        'decision_json',
      ],
      ['fine', 'Approved', '1990-01-31', '', 'PRT', 'DEU', 'a@b.example', '+351210000001', '', ''],
      ['three', 'Approved', '31/01/1990', '2032-02-30', '', '', 'ada', '', '', ''],
      ['all', 'Weird', '1', '2', 'Portugal', 'pt', 'x y@z', '0210', '{', ''],
      ['', 'Approved', '', '', '', '', '', '210 000 001', 'x', '['],
      ['check', 'Approved', '', '', '', '', '', '', '', '{"liveness_checks":[{"status":"Weird"}]}'],
    ]);
    const ended = await finish(brand, await upload(brand, { content, name: 'x.csv' }));
    expect(ended).toMatchObject({ created_count: 1, failed_count: 4 });
    const [three, all, nameless, check] = await errorsOf(brand, ended['uuid']);
    const fieldsOf = (error: unknown) => [...String(error).matchAll(/(\w+): (It|Unknown)/g)].map(([, name]) => name);
    expect(three?.['external_id']).toBe('three');
    expect(fieldsOf(three?.['error'])).toEqual(['date_of_birth', 'expiration_date', 'email']);
    expect(all?.['external_id']).toBe('all');
    expect(fieldsOf(all?.['error'])).toHaveLength(5);
    expect(all?.['error']).toContain('And 3 more.');
    expect(nameless?.['external_id']).toBeNull();
    expect(fieldsOf(nameless?.['error'])).toEqual(['external_id', 'phone_number', 'metadata_json', 'decision_json']);
    expect(check?.['error']).toContain('liveness_checks.0.status: Unknown status');

    const company = csvLines([
      ['external_id', 'status', 'country_code', 'incorporation_date'],
      ['gb', 'Approved', 'GB', '2015-03-12'],
      ['region', 'Approved', 'US-DE', ''],
      ['none', 'Approved', 'England', '2015'],
    ]);
    const file = { content: company, name: 'x.csv' };
    const companies = await finish(brand, await upload(brand, file, { import_type: 'business_verification' }));
    expect(companies).toMatchObject({ created_count: 2, failed_count: 1 });
    const [none] = await errorsOf(brand, companies['uuid']);
    expect(fieldsOf(none?.['error'])).toEqual(['country_code', 'incorporation_date']);
  });

  test.for<[string, string, string]>([
    ['an unknown column', 'external_id,status,shoe_size\n1,Approved,44\n', 'Unknown columns: "shoe_size"'],
    ['semicolons', 'external_id;status\n1;Approved\n', 'separated by commas'],
    ['a column twice', 'external_id,status,status\n1,Approved,Approved\n', 'there twice'],
    ['no external_id', 'status\nApproved\n', 'The column external_id is missing'],
    ['no status', 'external_id\n1\n', 'The column status is missing'],
    ['no rows', 'external_id,status\n', 'header and no rows'],
    ['an open quote', 'external_id,status\n1,"Approved\n', 'is not CSV'],
    ['a stray quote', 'external_id,status\n1,Appr"oved\n', 'Line 2 is not CSV'],
    ['too many columns', `external_id,status${',x'.repeat(199)}\n1,Approved\n`, '200 columns'],
    ['a million of columns', `${','.repeat(1_000_000)}\n1,Approved\n`, '200 columns'],
    ['a header too long', `external_id,status,${'x'.repeat(17_000)}\n1,Approved,\n`, '16 KiB'],
  ])('with %s is refused', async ([, content, sentence]) => {
    const refused = await upload(api.issuer, { content, name: 'x.csv' });
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect((refused.body['file'] as string[]).join(' ')).toContain(sentence);
  });

  test('is recognised by its type or its first character when its name does not tell', async () => {
    const brand = await api.newBrand();
    const rows = csv(['s1', 'Approved', 'A', 'B', '']);
    const by = (name: string, type: string, content: string) => upload(brand, { content, name, type });
    expect(await finish(brand, await by('blob', 'text/csv', rows))).toMatchObject({ created_count: 1 });
    expect(await finish(brand, await by('data.txt', 'text/plain', rows))).toMatchObject({ skipped_count: 1 });
    const line = ndjson({ external_id: 's2', status: 'Approved' });
    expect(await finish(brand, await by('data.txt', 'application/x-ndjson', line))).toMatchObject({ created_count: 1 });
    expect(await finish(brand, await by('blob', '', ` ${line}`))).toMatchObject({ skipped_count: 1 });
  });
});

describe('errors', () => {
  test('come by pages and as one CSV file, in which no cell is a formula', async () => {
    const brand = await api.newBrand();
    const rows = Array.from({ length: 450 }, (_, index) => ({
      external_id: `${index % 2 === 0 ? '＝' : '='}cmd${index}`,
      status: 'Bad',
    }));
    const ended = await finish(brand, await upload(brand, { content: ndjson(...rows) }));
    const path = `${PATH}${String(ended['uuid'])}/errors/`;
    const page = await api.call(brand, 'GET', `${path}?limit=2&offset=3`);
    expect(page.body).toMatchObject({
      count: 450,
      next: expect.stringContaining('offset=5'),
      results: [{ row_number: 4, external_id: '=cmd3' }, { row_number: 5 }],
    });
    const csv = await api.app.inject({ url: `${path}?format=csv`, headers: { 'x-api-key': brand.key } });
    expect(csv.headers['content-type']).toContain('text/csv');
    const lines = csv.body.trimEnd().split('\r\n');
    expect(lines[0]).toBe('row_number,external_id,error,raw_row');
    expect(lines).toHaveLength(451);
    expect(lines[449]).toMatch(/^449,'＝cmd448,/);
    expect(lines[450]).toMatch(/^450,'=cmd449,"?status: Unknown status/);
    expect(await api.call(brand, 'GET', `${path}?format=xml`)).toMatchObject({ status: 400 });
  });
});

describe('an import', () => {
  test('is there for its own application alone', async () => {
    const uuid = textOf(await upload(api.issuer, { content: ndjson(personRecord('mine')) }), 'uuid');
    for (const id of [uuid, randomUUID(), 'nonsense']) {
      expect(await api.call(api.partner, 'GET', `${PATH}${id}/`)).toMatchObject({ status: 404 });
      expect(await api.call(api.partner, 'GET', `${PATH}${id}/errors/`)).toMatchObject({ status: 404 });
      const csv = { url: `${PATH}${id}/errors/?format=csv`, headers: { 'x-api-key': api.partner.key } };
      expect((await api.app.inject(csv)).statusCode).toBe(404);
      expect(await api.call(api.partner, 'POST', `${PATH}${id}/cancel/`, {})).toMatchObject({ status: 404 });
    }
    expect((await api.call(api.partner, 'GET', PATH)).body['count']).toBe(0);
    expect((await api.call(api.issuer, 'GET', `${PATH}${uuid}/`)).body['status']).toBe('pending');
  });

  test('that is cancelled keeps what is in and forgets the rest of its file', async () => {
    const brand = await api.newBrand();
    const rows = Array.from({ length: 500 }, (_, index) => ({ external_id: `c${index}`, status: 'Approved' }));
    const uuid = textOf(await upload(brand, { content: ndjson(...rows) }), 'uuid');
    expect(await takePart(uuid, 0)).toMatchObject({ status: 'processing', nextPart: 1, processedRows: 200 });
    const key = { 'idempotency-key': randomUUID() };
    const cancelled = await api.call(brand, 'POST', `${PATH}${uuid}/cancel/`, {}, key);
    expect(cancelled).toMatchObject({
      status: 200,
      body: { status: 'cancelled', processed_rows: 200, last_error: expect.stringContaining('Cancelled') },
    });
    expect(await takePart(uuid, 1)).toMatchObject({ status: 'cancelled', processedRows: 200 });
    const left = await api.database.pool.query('select 1 from session_import_part where import_id = $1', [uuid]);
    expect(left.rows).toEqual([]);
    expect(await api.call(brand, 'POST', `${PATH}${uuid}/cancel/`, {})).toMatchObject({ body: cancelled.body });
    const replay = await api.call(brand, 'POST', `${PATH}${uuid}/cancel/`, {}, key);
    expect(replay).toMatchObject({ body: cancelled.body, headers: { 'idempotent-replayed': 'true' } });

    const done = await finish(brand, await upload(brand, { content: ndjson(...rows.slice(300, 301)) }));
    expect(await api.call(brand, 'POST', `${PATH}${String(done['uuid'])}/cancel/`, {})).toMatchObject({
      status: 409,
      body: { code: 'import_ended', status: 'completed' },
    });
  });

  test('of an application that is deleted meanwhile fails', async () => {
    const brand = await api.newBrand();
    const uuid = textOf(await upload(brand, { content: ndjson(personRecord('late')) }), 'uuid');
    await api.database.pool.query('update application set deleted_at = now() where application_id = $1', [brand.id]);
    expect(await takePart(uuid, 0)).toMatchObject({ status: 'failed', processedRows: 0 });
    const { rows } = await api.database.pool.query(
      `select last_error, (select count(*)::int from session where application_id = $2) as sessions
       from session_import where import_id = $1`,
      [uuid, brand.id],
    );
    expect(rows).toEqual([{ last_error: 'The application was deleted.', sessions: 0 }]);
  });

  test('that is unknown to its run ends it', async () => {
    expect(await takePart(randomUUID(), 0)).toMatchObject({ status: 'unknown' });
  });
});

describe('while the files of a part are stored', () => {
  const record = (externalId: string) => ({
    ...personRecord(externalId),
    id_verifications: [{ status: 'Approved', front_image: dataUri('image/png', someFile('image/png')) }],
  });
  /** A keeper that has something else happen before it stores. */
  const after = (meanwhile: () => Promise<unknown>): FileTaker => ({
    takeFiles: async (documents) => {
      await meanwhile();
      const handoff = handoffTenants(api.tenants, testSealer, testBlindIndex);
      return fileTaker({ tenants: handoff, media }).takeFiles(documents);
    },
  });

  test('the import may be cancelled', async () => {
    const brand = await api.newBrand();
    const uuid = textOf(await upload(brand, { content: ndjson(record('late')) }), 'uuid');
    const cancel = () => api.call(brand, 'POST', `${PATH}${uuid}/cancel/`, {});
    expect(await takePart(uuid, 0, after(cancel))).toMatchObject({ status: 'cancelled', processedRows: 0 });
    expect((await api.database.pool.query('select 1 from session where application_id = $1', [brand.id])).rows).toEqual(
      [],
    );
  });

  test('its rows may come by other ways, and the part by another worker: each is there once', async () => {
    const brand = await api.newBrand();
    const uuid = textOf(await upload(brand, { content: ndjson(record('one'), record('other')) }), 'uuid');
    const single = () => api.call(brand, 'POST', '/v1/sessions/', personRecord('one'));
    const twice = after(async () => {
      await single();
      await takePart(uuid, 0);
    });
    const progress = await takePart(uuid, 0, twice);
    expect(progress).toMatchObject({ status: 'completed', processedRows: 2, createdCount: 1, skippedCount: 1 });
    await decisionOf(brand, 'one');
    await decisionOf(brand, 'other');
  });

  test('a row that was there and is deleted counts as there', async () => {
    const brand = await api.newBrand();
    const { body } = await api.call(brand, 'POST', '/v1/sessions/', personRecord('gone'));
    const uuid = textOf(await upload(brand, { content: ndjson(record('gone'), record('new')) }), 'uuid');
    const remove = () => api.call(brand, 'DELETE', `/v3/session/${String(body['session_id'])}/delete/`);
    expect(await takePart(uuid, 0, after(remove))).toMatchObject({ createdCount: 1, skippedCount: 1 });
  });
});

test('files inside rows are stored, and a row with a broken one is told of', async () => {
  const bytes = someFile('image/png');
  const record = (external_id: string, front_image: string) => ({
    ...personRecord(external_id),
    id_verifications: [{ status: 'Approved', front_image }],
  });
  const made = await upload(api.issuer, {
    content: ndjson(record('with-file', dataUri('image/png', bytes)), record('broken', 'data:image/png;base64,AAAA')),
  });
  const done = await finish(api.issuer, made);
  expect(done).toMatchObject({
    status: 'completed',
    created_count: 1,
    failed_count: 1,
    total_media_bytes: bytes.length,
  });
  const [error] = await errorsOf(api.issuer, done['uuid']);
  expect(error).toMatchObject({ row_number: 2, external_id: 'broken' });
  expect(error?.['error']).toContain('id_verifications.0.front_image');

  const [row] = (await api.database.pool.query(`select session_id from session where external_id = 'with-file'`)).rows;
  const { body } = await api.call(api.issuer, 'GET', `/v3/session/${row.session_id}/decision/`);
  const [document] = body['id_verifications'] as JsonObject[];
  const link = new URL(String(document?.['front_image']));
  const file = await api.app.inject({ url: link.pathname + link.search });
  expect(file.statusCode).toBe(200);
  expect(file.rawPayload.equals(bytes)).toBe(true);
});
