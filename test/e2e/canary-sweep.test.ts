import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { importTemplate } from '../../src/domain/import-templates.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { canaryBook, type CanaryKind } from '../support/canaries.ts';
import { columnsOf, filesOf, textsOf, type Places } from '../support/canary-places.ts';
import { canaryStack } from '../support/canary-stack.ts';
import { canaryStory, noteToken, type CanaryStory, type Planted } from '../support/canary-story.ts';
import { diditBytes, diditHeaders, personDecision, personEvent } from '../support/didit-webhooks.ts';
import { SIGNALS } from '../../src/domain/temporal-names.ts';
import { someFile } from '../support/files.ts';
import { formBytes } from '../support/import-files.ts';
import { needleSearch } from '../support/needles.ts';
import { runOwnCommand, type CommandOutcome } from '../support/own-command.ts';
import { PLAIN_COLUMNS } from '../support/plain-columns.ts';
import { shiftClock } from '../support/test-clock.ts';
import { decoded, everythingInTemporal } from '../support/sweep.ts';

const book = canaryBook();
const stack = canaryStack(book);
let story: CanaryStory;
let issuer: Planted;
let partner: Planted;
let rotating: Promise<CommandOutcome>;
/** What Temporal tells, and what else came out on the way. */
let inTemporal: string[] = [];
const printed: Record<string, string> = {};
beforeAll(async () => {
  story = await canaryStory(book, stack);
});
afterAll(() => story.stop());

/** The same secret with another last character. */
const misspelt = (secret: string) => `${secret.slice(0, -1)}${secret.endsWith('_') ? '-' : '_'}`;
const texts = (kind: CanaryKind, ...names: string[]) => names.map((name) => book.plant(kind, name));
const poll = <T>(read: () => Promise<T>): Promise<T> => {
  const until = Date.now() + 30_000;
  const again = async (): Promise<T> => {
    try {
      return await read();
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return again();
    }
  };
  return again();
};
const post = (path: string, body: JsonObject = {}, as: Planted = issuer) => story.call(as, 'POST', path, body);
const acknowledge = (tokenId: string, body: JsonObject, as: Planted = partner) =>
  story.done(as, 'POST', `/v1/onboardings/${tokenId}/acknowledge/`, body);
const ended = async (tokenId: string) => (await story.ended(issuer, tokenId, poll))['status'];
const person = (name: string) => story.document(name, 'kyc-approved');

describe('a story with canaries in every place', () => {
  let admin: { bearer: string; organization: string };
  it('begins with an account, its applications and their settings', async () => {
    admin = await story.person();
    const [name = ''] = texts('name_of_ours', 'organization');
    await story.done(admin, 'PATCH', `/auth/v2/organizations/me/${admin.organization}/`, { name });
    const nobody = `nobody${book.plant('personal', 'address without a mailbox')}@canary.example`;
    await story.call(null, 'POST', '/auth/v2/programmatic/register/', { email: nobody, password: 'Correct-Horse-7' });
    issuer = await story.brand('issuer', admin, 'takes');
    partner = await story.brand('partner', admin, 'takes');
    const path = `/auth/v2/organizations/me/${admin.organization}/applications/${issuer.id}/api-keys/`;
    rotating = runOwnCommand('keys.ts', ['rotate', '--by', 'olga'], stack.env);
    const key = await story.done(admin, 'POST', path, {
      name: book.plant('name_of_ours', 'API key'),
      privileges: { sessions: 'read' },
    });
    book.note('secret', 'an API key of few privileges', key['api_key']);
    await story.done(issuer, 'POST', '/v3/workflows/', {
      workflow_label: book.plant('label', 'workflow'),
      features: [{ feature: 'OCR' }],
    });
    await story.connect(issuer, partner, { trust_review: true });
    const { rows } = await stack.pool.query<{ id: string }>(
      'select destination_id as id from webhook_destination where application_id = $1',
      [issuer.id],
    );
    const secret = await story.done(issuer, 'POST', `/v1/webhook/destinations/${rows[0]?.id}/rotate-secret/`, {});
    for (const [form, text] of Object.entries(secret)) {
      if (form.startsWith('secret_') && typeof text === 'string') book.note('secret', `rotated ${form}`, text);
    }
  });

  it('goes on with sessions of every origin', async () => {
    await story.takeIn(issuer, story.document('declined', 'kyc-in-review'));
    const [external = '', callback = '', meta = '', mail = '', name = '', address = '', number = ''] = texts(
      'personal',
      'external',
      'callback',
      'metadata',
      'contact',
      'expected name',
      'expected address',
      'expected number',
    );
    book.note('personal', 'never stored', external);
    const flows = await story.done(issuer, 'GET', '/v3/workflows/');
    const flow = (flows['results'] as JsonObject[]).find(({ workflow_type: type }) => type !== 'kyb');
    const hosted = await story.done(issuer, 'POST', '/v3/session/', {
      workflow_id: String(flow?.['uuid']),
      vendor_data: book.plant('vendor_data', 'hosted'),
      callback: `https://${callback}.example/`,
      metadata: { note: meta },
      contact_details: { email: `${mail}@canary.example`, phone: `+${book.plantNumber('personal', 'contact phone')}` },
      expected_details: { first_name: name, address, country: 'ESP', identification_number: number },
    });
    const token = book.note('secret', 'session token', hosted['session_token']);
    const arm = `/v3/session/${String(hosted['session_id'])}/sandbox/arm/`;
    await story.call(null, 'POST', arm, { scenario: 'approved' }, { 'session-token': misspelt(token) });
    await story.done(null, 'POST', arm, { scenario: 'approved' }, { 'session-token': token });
    await story.call(null, 'GET', `/session/${token}/`);

    const taken = await story.takeIn(issuer, person('reviewed'));
    const [review = '', decline = '', mailTo = ''] = texts('personal', 'review', 'decline', 'e-mail of a review');
    await story.done(issuer, 'POST', `/v3/sessions/${taken}/reviews/`, { comment: review });
    await story.done(issuer, 'PATCH', `/v3/session/${taken}/update-status/`, {
      new_status: 'Declined',
      comment: decline,
      send_email: true,
      email_address: `${mailTo}@canary.example`,
    });
    const file = Buffer.concat([someFile('image/png'), Buffer.from(book.plant('personal', 'uploaded file'))]);
    const field = 'id_verifications.0.back_image';
    const stored = await story.done(issuer, 'POST', `/v1/sessions/${taken}/media/?field=${field}`, file, {
      'content-type': 'image/png',
    });
    const link = new URL(String(stored['url']));
    book.note('secret', 'signature of a link', link.searchParams.get('signature'));
    expect((await story.call(null, 'GET', link.pathname + link.search)).status).toBe(200);
    expect((await story.call(null, 'GET', `${link.pathname}${link.search}x`)).status).toBe(404);

    const secret = book.note('secret', 'secret of ingestion', randomBytes(32).toString('base64url'));
    await story.done(issuer, 'PUT', '/v1/ingest/didit/', { secret_shared_key: secret });
    const decision = personDecision(book.plant('external_id', 'ingested'), book.plant('personal', 'ingested name'), {
      liveness_checks: [{ status: 'Approved', reference_image: `https://${book.plant('personal', 'link')}.invalid/a` }],
    });
    const raw = diditBytes(
      personEvent(String(decision['session_id']), {
        decision,
        vendor_data: book.plant('vendor_data', 'ingested'),
        metadata: { note: book.plant('personal', 'ingested metadata') },
      }),
    );
    const path = `/v1/ingest/didit/${issuer.id}/`;
    await story.done(null, 'POST', path, Buffer.from(raw), diditHeaders(raw, secret));
    expect((await story.call(null, 'POST', path, Buffer.from(raw), diditHeaders(raw, 'w'.repeat(40)))).status).toBe(
      401,
    );
  });

  it('with entities, and files of records', async () => {
    for (const [kind, many, profile] of [
      ['user', 'users', { full_name: '', display_name: '', approved_phones: [''], metadata: { note: '' } }],
      ['business', 'businesses', { legal_name: '', display_name: '', registration_number: '', metadata: { note: '' } }],
    ] as const) {
      const fill = (round: string): JsonObject =>
        JSON.parse(JSON.stringify(profile), (member, value: unknown) =>
          value === '' ? book.plant('personal', `${kind} ${round} ${member}`) : value,
        ) as JsonObject;
      const vendor = book.plant('vendor_data', kind);
      await story.done(issuer, 'POST', `/v3/${many}/create/`, { vendor_data: vendor, ...fill('created') });
      await story.done(issuer, 'PATCH', `/v3/${many}/${vendor}/`, fill('changed'));
      await story.done(issuer, 'PATCH', `/v3/${many}/${vendor}/update-status/`, { status: 'FLAGGED' });
      await story.done(issuer, 'GET', `/v3/sessions/?vendor_data=${vendor}&search=${book.plant('personal', 'search')}`);
    }
    const rows = [
      JSON.stringify(person('row')),
      `{"not json": "${book.plant('personal', 'broken row')}`,
      JSON.stringify({
        ...person('refused row'),
        session_kind: book.plant('personal', 'kind of a row'),
        extra: book.plant('personal', 'extra of a row'),
      }),
      JSON.stringify({ ...person('unknown row'), [book.plant('personal', 'name of a field')]: 1 }),
    ];
    const table = importTemplate('user_verification', 'csv')
      .replaceAll('example-person-1', book.plant('external_id', 'CSV'))
      .replaceAll('customer-1', book.plant('vendor_data', 'CSV'))
      .replaceAll('Ada', book.plant('personal', 'CSV first name'))
      .replaceAll('EX0000001', book.plant('personal', 'CSV number'));
    const broken = table.replaceAll('Approved', book.plant('personal', 'CSV status'));
    for (const [ending, content] of [
      ['ndjson', rows.join('\n')],
      ['csv', table],
      ['csv', broken],
    ] as const) {
      const name = `${book.plant('personal', 'file name')}.${ending}`;
      const provider = book.plant('provider', 'provider');
      const form = await formBytes({ import_type: 'user_verification', provider }, { name, content });
      const made = await story.done(issuer, 'POST', '/v3/session/imports/', form.payload, form.headers);
      await poll(async () => {
        const now = await story.done(issuer, 'GET', `/v3/session/imports/${String(made['uuid'])}/`);
        if (now['completed_at'] === null) throw new Error(`import is ${String(now['status'])}`);
      });
      await story.done(issuer, 'GET', `/v3/session/imports/${String(made['uuid'])}/errors/`);
    }
  });

  it('and onboardings that end in every way', async () => {
    const accepted = await story.open(issuer, partner, await story.takeIn(issuer, person('accepted')));
    await story.heard(partner, 'share.received', accepted);
    await acknowledge(accepted, { accept: true, vendor_data: book.plant('vendor_data', 'the partner’s') });
    expect(await ended(accepted)).toBe('imported');

    const people = Object.fromEntries(
      (['kyc-director', 'kyc-owner'] as const).map((sample) => [sample, story.document(sample, sample)]),
    );
    for (const document of Object.values(people)) await story.takeIn(issuer, document);
    const [someone = ''] = texts('person_reference', 'somebody who is not there');
    const text = JSON.stringify(story.document('company', 'kyb-approved'))
      .replace('sample-kyc-director', someone)
      .replaceAll('sample-kyc-director', String(people['kyc-director']?.['external_id']))
      .replaceAll('sample-kyc-owner', String(people['kyc-owner']?.['external_id']));
    const company = await story.open(issuer, partner, await story.takeIn(issuer, JSON.parse(text) as JsonObject));
    await story.heard(partner, 'share.received', company);
    await acknowledge(company, { accept: true });
    expect(await ended(company)).toBe('imported');

    const refused = await story.open(issuer, partner, await story.takeIn(issuer, person('refused')));
    await story.heard(partner, 'share.received', refused);
    await acknowledge(refused, { accept: false, reason: book.plant('personal', 'reason of a refusal') });
    expect(await ended(refused)).toBe('refused');

    const revoked = await story.open(issuer, partner, await story.takeIn(issuer, person('revoked')));
    await story.done(issuer, 'POST', `/v1/onboardings/${revoked}/revoke/`, {});
    expect(await ended(revoked)).toBe('revoked');

    const cancelled = await story.open(issuer, partner, await story.takeIn(issuer, person('cancelled')));
    await poll(() => stack.temporal.workflow.getHandle(cancelled).cancel());
    expect(await ended(cancelled)).toBe('revoked');
  });

  it('by receivers that are gone, fail and send elsewhere', async () => {
    const source = await story.takeIn(issuer, person('shared in vain'));
    const short = await story.open(issuer, partner, source, 60);
    await story.heard(partner, 'share.received', short);
    const tokens: string[] = [];
    for (const manner of ['gone', 'redirects', 'fails'] as const) {
      const brand = await story.brand(manner, admin, manner);
      const tokenId = await story.open(issuer, brand, source);
      await story.heard(brand, 'share.received', tokenId);
      if (manner === 'gone') expect(await ended(tokenId)).toBe('undeliverable');
      else tokens.push(tokenId);
    }
    const automatic = await story.brand('automatic', admin, 'fails');
    await story.connect(issuer, automatic, { acceptance: 'automatic' });
    expect(await ended(await story.open(issuer, automatic, source))).toBe('imported');

    await shiftClock(stack.pool, '61 seconds');
    // Its timer runs on a clock that cannot be shifted: a message makes it look.
    await stack.temporal.workflow.getHandle(short).signal(SIGNALS.tokenRedeemed, randomUUID());
    expect(await ended(short)).toBe('expired');
    for (const tokenId of tokens) await story.done(issuer, 'POST', `/v1/onboardings/${tokenId}/revoke/`, {});
    for (const tokenId of tokens) expect(await ended(tokenId)).toBe('revoked');
  });

  it('with requests that are refused, a database that quotes values, and callers who are nobody', async () => {
    const source = await story.takeIn(issuer, person('refusals'));
    const minted = await story.done(issuer, 'POST', `/v3/session/${source}/share/`, { for_application_id: partner.id });
    const token = noteToken(book, 'minted token', String(minted['share_token']));
    const planted = () => book.plant('personal', 'value of a refused request');
    const wrong = { ...person('refused document'), session_kind: planted(), status: planted(), [planted()]: planted() };
    expect(await post('/v1/sessions/', wrong)).toMatchObject({ status: 400 });
    expect(await post('/v3/session/import-shared/', { share_token: misspelt(token) }, partner)).toMatchObject({
      status: 401,
    });
    expect(
      await post('/v3/session/import-shared/', { share_token: token, workflow_id: planted() }, partner),
    ).toMatchObject({ status: 404 });
    expect(await post('/v1/connections/', { partner_application_id: planted() })).toMatchObject({ status: 400 });
    expect(await story.call({ key: misspelt(issuer.key) }, 'GET', '/v1/onboardings/')).toMatchObject({
      status: 401,
    });
    expect(await story.call({ bearer: planted() }, 'GET', '/auth/v2/organizations/me/')).toMatchObject({ status: 401 });
    expect(await story.call(issuer, 'GET', `/v1/onboardings/${planted()}/?api_key=${issuer.key}`)).toMatchObject({
      status: 404,
    });
    expect(
      await story.call(issuer, 'POST', '/v1/sessions/', Buffer.from(`{"a": "${planted()}`), {
        'content-type': 'application/json',
      }),
    ).toMatchObject({ status: 400 });
    expect(await story.call(null, 'GET', '/metrics')).toMatchObject({ status: 404 });
    const decode = await fetch(new URL('/decode', stack.codecUrl), {
      method: 'POST',
      headers: {
        origin: 'http://ui.example',
        authorization: `Bearer ${planted()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ payloads: [{ data: Buffer.from(planted()).toString('base64') }] }),
    });
    expect(decode.status).toBe(401);

    const value = book.plant('personal', 'value in a database error');
    await stack.pool.query(
      `create function planted() returns trigger language plpgsql as
         $$ begin raise exception '% %', (select min(value) from planted_value), new using detail = new::text; end $$;
       create unlogged table planted_value (value text); grant select on planted_value to public`,
    );
    await stack.pool.query('insert into planted_value values ($1)', [value]);
    for (const table of ['redemption', 'session_check']) {
      await stack.pool.query(
        `create trigger planted before insert on ${table} for each row execute function planted()`,
      );
    }
    expect(await post('/v3/session/import-shared/', { share_token: token }, partner)).toMatchObject({ status: 500 });
    expect(await post('/v1/sessions/', person('faulted'))).toMatchObject({ status: 500 });
    const failing = await story.open(issuer, partner, source);
    await story.heard(partner, 'share.received', failing);
    await acknowledge(failing, { accept: true });
    await expect.poll(() => stack.logs()['onboarding'], { timeout: 20_000 }).toContain(failing);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const table of ['redemption', 'session_check']) await stack.pool.query(`drop trigger planted on ${table}`);
    await stack.pool.query('drop function planted; drop table planted_value');
    expect(await ended(failing)).toBe('imported');
    expect(await post('/v3/session/import-shared/', { share_token: token }, partner)).toMatchObject({ status: 403 });
  });

  it('and ends with what Temporal tells, an audit export, and other keys', async () => {
    await poll(async () => {
      const { rows } = await stack.pool.query('select 1 from audit_unsealed');
      if (rows.length > 0) throw new Error('events wait to be sealed');
    });
    process.env['TEMPORAL_ADDRESS'] = stack.env['TEMPORAL_ADDRESS'];
    inTemporal = await everythingInTemporal(stack.temporal, inject('temporalCliPath'));
    const folder = mkdtempSync(join(tmpdir(), 'handoff-export-'));
    for (const brand of [issuer, partner]) {
      const { text } = await story.done(brand, 'GET', '/v1/audit/export/');
      printed[`export of the ${brand.name}`] = String(text);
      writeFileSync(join(folder, `${brand.name}.ndjson`), String(text));
    }
    expect(await rotating).toMatchObject({ code: 0, stderr: '' });
    await stack.stopProcesses();
    const key = () => book.note('secret', 'a newer key', randomBytes(32).toString('base64url'));
    const env = {
      ...stack.env,
      KEY_ENCRYPTION_KEYS: `secrets-2:${key()},${String(stack.env['KEY_ENCRYPTION_KEYS'])}`,
      CONTENT_ENCRYPTION_KEYS: `content-2:${key()},${String(stack.env['CONTENT_ENCRYPTION_KEYS'])}`,
    };
    const run = async (entry: string, ...args: string[]) => {
      const outcome = await runOwnCommand(entry, args, env);
      expect({ entry, args, ...outcome }).toMatchObject({ code: 0 });
      printed[`${entry} ${args.join(' ')}`] = outcome.stdout + outcome.stderr;
    };
    await run('keys.ts', 'rewrap', '--by', 'olga');
    await Promise.all([
      run('keys.ts', 'status'),
      run('keys.ts', 'remove', 'share-1'),
      run('audit.ts', 'verify', join(folder, 'issuer.ndjson')),
    ]);
    await run('audit.ts', 'verify');
    printed['keys rotate'] = JSON.stringify(await rotating);
    await stack.pool.query('checkpoint');
  });
});

/** What of the book is in places, as `place: kind: name`, in the order of the places. */
const found = (places: Places, allowed: (kind: CanaryKind, place: string) => boolean = () => false): string[] => {
  const { find } = needleSearch(book.all.map(({ text }, index) => ({ text, name: String(index) })));
  return Object.entries(places).flatMap(([place, bytes]) =>
    find(bytes).flatMap((index) => {
      const canary = book.all[Number(index)];
      if (canary === undefined || allowed(canary.kind, place)) return [];
      return [`${place}: ${canary.kind}: ${canary.name}`];
    }),
  );
};
const isPlain = (kind: CanaryKind, column: string) => PLAIN_COLUMNS[kind]?.columns.includes(column) === true;
const temporalFiles = (): Places => {
  const name = basename(stack.temporalFile);
  return Object.fromEntries(
    Object.entries(filesOf(dirname(stack.temporalFile))).filter(([path]) => path.startsWith(name)),
  );
};

describe('no canary can be read', () => {
  it('in a column, but for those that are plain by design, each of which holds its own kind', async () => {
    const columns = await columnsOf(stack.pool);
    expect(found(columns, isPlain)).toEqual([]);
    const seen = new Set(found(columns).map((hit) => hit.split(': ').slice(0, 2).join(' ')));
    const listed = Object.entries(PLAIN_COLUMNS).flatMap(([kind, { columns: plain }]) =>
      plain.map((column) => `${column} ${kind}`),
    );
    expect([...seen].toSorted()).toEqual(listed.toSorted());
  });

  it('in the files of Postgres, but for what is plain in a column', () => {
    const kinds = new Set(Object.keys(PLAIN_COLUMNS));
    expect(found(filesOf(stack.clusterFolder), (kind) => kinds.has(kind))).toEqual([]);
  });

  it('in a log', () => {
    expect(found(textsOf(stack.logs()))).toEqual([]);
    expect(decodedHits(Object.values(stack.logs()))).toEqual([]);
  });

  it('in Temporal', () => {
    expect(inTemporal.length).toBeGreaterThan(40);
    expect(found(textsOf({ Temporal: inTemporal.join('\n') }))).toEqual([]);
    expect(decodedHits(inTemporal)).toEqual([]);
    expect(found(temporalFiles())).toEqual([]);
  });

  it('in a stored file, an anchor, an export or the answer of a command', () => {
    expect(found(filesOf(stack.mediaFolder))).toEqual([]);
    expect(found(filesOf(stack.anchorsFolder))).toEqual([]);
    expect(found(textsOf(printed))).toEqual([]);
  });

  it('in the URLs and the headers of webhooks, but for the receiver’s own address', () => {
    const heads = textsOf({ heads: story.received.map(({ head }) => head).join('\n') });
    expect(found(heads, (kind) => kind === 'receiver_url')).toEqual([]);
  });
});

/** What is found however deep it was encoded. */
const decodedHits = (texts: readonly string[]): string[] => found(textsOf({ decoded: decoded(texts) }));

describe('the sweep finds', () => {
  const control = `Control${randomUUID().replaceAll('-', '')}`;
  const holds = (places: Places): string[] => {
    const { find } = needleSearch([{ name: 'it', text: control }]);
    return Object.entries(places).flatMap(([place, bytes]) => (find(bytes).length > 0 ? [place] : []));
  };

  it('nearly every canary in the webhooks, which tell what is shared', () => {
    const told = found(textsOf({ bodies: story.received.map(({ text }) => text).join('\n') }));
    expect(told.filter((hit) => hit.includes(': personal: accepted')).length).toBeGreaterThan(150);
    expect(told.filter((hit) => hit.includes(': secret: share token')).length).toBeGreaterThan(10);
  });

  it('a text that was stored, in columns of every type and in the files of Postgres', async () => {
    await stack.pool.query(`create table planted (t text, b bytea, j jsonb, a text[])`);
    await stack.pool.query('insert into planted values ($1, $2, $3, $4)', [
      `a ${control}.`,
      Buffer.from(`x${control}`),
      JSON.stringify({ deep: [control] }),
      [control.toUpperCase()],
    ]);
    expect(holds(await columnsOf(stack.pool))).toEqual(['planted.t', 'planted.b', 'planted.j', 'planted.a']);
    await stack.pool.query('checkpoint');
    const files = holds(filesOf(stack.clusterFolder));
    expect(files.some((file) => file.startsWith('base'))).toBe(true);
    expect(files.some((file) => file.startsWith('pg_wal'))).toBe(true);
  });

  it('an argument of a run, in its history and in the file of Temporal', async () => {
    const workflowId = randomUUID();
    await stack.temporal.workflow.start('Planted', { taskQueue: 'nowhere', workflowId, args: [{ name: control }] });
    const history = await stack.temporal.workflow.getHandle(workflowId).fetchHistory();
    expect(holds(textsOf({ history: JSON.stringify(history) }))).toEqual(['history']);
    expect(holds(temporalFiles())).not.toEqual([]);
  });

  it('what is written into a log, a media folder or an anchor', () => {
    const folder = mkdtempSync(join(tmpdir(), 'handoff-planted-'));
    writeFileSync(join(folder, 'a'), Buffer.from(`{"x":"${control}"}`).toString('base64'));
    writeFileSync(join(folder, control), '');
    expect(holds(filesOf(folder)).toSorted()).toEqual(['a', control].toSorted());
    const logs = stack.logs();
    for (const [name, said] of [
      ['server', issuer.id],
      ['onboarding', 'Activity failed'],
      ['webhooks', '"name"'],
      ['codec', '"name"'],
      ['postgres', 'ready to accept connections'],
    ] as const) {
      expect(needleSearch([{ name, text: said }]).find(Buffer.from(String(logs[name])))).toEqual([name]);
    }
  });
});
