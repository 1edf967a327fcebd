import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { verifyExport } from '../../src/audit/verify-export.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { listAuditEvents } from '../../src/postgres/audit-list.ts';
import { sealEvents } from '../../src/postgres/audit-seal.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { takeIn } from './documents.ts';

const api = testApi();
const AUDIT = '/v1/audit/';

/** Seals all that a brand has. */
async function seal(brand: Brand): Promise<void> {
  while ((await api.tenants.acrossTenants('relay', (sql) => sealEvents(sql, brand.id))) > 0);
}

const list = (brand: Brand | string, query = '') => api.call(brand, 'GET', `${AUDIT}${query}`);
const results = (answer: Answer) => answer.body['results'] as JsonObject[];
const typesOf = (answer: Answer) => results(answer).map(({ type }) => type);

describe('GET /v1/audit/', () => {
  let brand: Brand;
  let sessionId: string;
  beforeAll(async () => {
    brand = await api.newBrand();
    sessionId = await takeIn(api, brand);
    const status = `/v3/session/${sessionId}/update-status/`;
    await api.call(brand, 'PATCH', status, { new_status: 'Declined' }, { 'x-request-id': 'the-call' });
    await api.call(brand, 'POST', '/v3/users/create/', { vendor_data: 'audit-1' });
  });

  it('lists what happened, newest first: who, why, in which call, from which state to which', async () => {
    const answer = await list(brand);
    expect(answer).toMatchObject({ status: 200, body: { count: 3, next: null, previous: null } });
    expect(typesOf(answer)).toEqual(['user.created', 'status.updated', 'session.created']);
    const hash = expect.stringMatching(/^[0-9a-f]{64}$/);
    expect(results(answer)[1]).toMatchObject({
      subject_id: sessionId,
      session_id: sessionId,
      token_id: null,
      actor: { kind: 'api_key', id: brand.keyId },
      reason: 'review',
      request_id: 'the-call',
      sequence: 1,
      digest: hash,
      before_sha256: hash,
      after_sha256: hash,
      place: null,
    });
    expect(results(answer)[2]).toMatchObject({ reason: 'taken_in', sequence: null, digest: null, after_sha256: hash });
  });

  it('says where a sealed event stands in the chain', async () => {
    const hash = expect.stringMatching(/^[0-9a-f]{64}$/);
    await seal(brand);
    expect(results(await list(brand)).map(({ place }) => place)).toEqual(
      [3, 2, 1].map((position) => ({
        position,
        row_sha256: hash,
        chain_sha256: hash,
        sealed_at: expect.stringMatching(/Z$/),
      })),
    );
  });

  it('is narrowed by every filter, and paged', async () => {
    const all = results(await list(brand));
    const [newest, middle, oldest] = all.map(({ created_at }) => String(created_at));
    const filters: readonly (readonly [query: string, types: readonly string[]])[] = [
      ['type=user.created', ['user.created']],
      [`session_id=${sessionId}`, ['status.updated', 'session.created']],
      [`token_id=${randomUUID()}`, []],
      [`subject_id=${String(all[0]?.['subject_id'])}`, ['user.created']],
      ['actor_kind=api_key&request_id=the-call', ['status.updated']],
      ['actor_kind=system', []],
      [`actor_id=${brand.keyId}&limit=1`, ['user.created']],
      [`since=${middle}`, ['user.created', 'status.updated']],
      [`until=${middle}`, ['status.updated', 'session.created']],
      [`since=${newest}&until=${oldest}`, []],
      ['limit=1&offset=1', ['status.updated']],
    ];
    for (const [query, types] of filters) {
      expect({ query, types: typesOf(await list(brand, `?${query}`)) }).toEqual({ query, types });
    }
    expect((await list(brand, '?limit=2')).body).toMatchObject({ count: 3, next: expect.stringContaining('offset=2') });
    expect((await list(brand, `?session_id=${sessionId}`)).body['count']).toBe(2);
  });

  it('counts events of other applications in neither part, while some are sealed and some are not', async () => {
    const [mine, others] = [await api.newBrand(), await api.newBrand()];
    const create = (of: Brand, name: string) => api.call(of, 'POST', '/v3/users/create/', { vendor_data: name });
    expect((await list(mine)).body['count']).toBe(0);
    for (const name of ['count-1', 'count-2']) await create(mine, name);
    await create(others, 'count-1');
    await seal(mine);
    await create(mine, 'count-3');
    for (const count of [3, 3]) {
      expect((await list(mine)).body['count']).toBe(count);
      await seal(mine);
    }
    expect((await list(others)).body['count']).toBe(1);
  });

  it('reads no event for the count of a page without a filter', async () => {
    const mine = await api.newBrand();
    const [text] = await api.tenants.withTenant(mine.id, async (tx) => {
      const texts: string[] = [];
      const spy = { ...tx, query: (text: string) => (texts.push(text), Promise.resolve([])) };
      await listAuditEvents(spy, mine.id, {}, { limit: 1, offset: 0 });
      return texts;
    });
    expect(text).not.toMatch(/ event /);
    expect(text).toContain('audit_unsealed');
  });

  it('refuses what is no filter of it, by its name', async () => {
    const wrong = [
      'nothing=1',
      'type=nothing',
      'session_id=x',
      'actor_kind=robot',
      'since=yesterday',
      'limit=0',
      'actor_id=',
      'actor_id=%00',
      'request_id=a%00b',
    ];
    for (const query of wrong) {
      const answer = await list(brand, `?${query}`);
      expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
      expect(answer.body).toHaveProperty(query.split('=')[0] ?? '');
    }
  });

  it('is for keys that may read it, and shows nobody another application’s', async () => {
    const key = await api.newKey(brand, { audit: 'read' });
    expect((await list(key)).status).toBe(200);
    expect(await list(await api.newKey(brand, { sessions: 'write' }))).toMatchObject({
      status: 403,
      body: { code: 'permission_denied' },
    });
    expect(await list(api.third, `?session_id=${sessionId}`)).toMatchObject({ body: { count: 0, results: [] } });
  });

  it('names the key that was revoked, and no other application’s key', async () => {
    const [issuer, partner] = [await api.newBrand(), await api.newBrand()];
    const body = { partner_application_id: partner.id };
    const proposed = await api.call(issuer, 'POST', '/v1/connections/', body);
    const url = `/v1/connections/${textOf(proposed, 'connection_id')}/`;
    await api.call(partner, 'PATCH', url, { status: 'active', default_workflows: { user: partner.workflows.user } });
    await api.call(partner, 'PATCH', url, { default_workflows: { user: null } });
    await api.call(partner, 'PATCH', url, { suspended: true });
    const seen = async (side: Brand) =>
      results(await list(side)).map(({ type, actor }) => [type, (actor as JsonObject)['id']]);
    expect(await seen(issuer)).toEqual([
      ['connection.suspended', null],
      // The partner's default workflows are its own business.
      ['connection.accepted', null],
      ['connection.proposed', issuer.keyId],
    ]);
    expect(await seen(partner)).toEqual([
      ['connection.suspended', partner.keyId],
      ['connection.changed', partner.keyId],
      ['connection.accepted', partner.keyId],
      ['connection.proposed', null],
    ]);
  });
});

describe('GET /v1/audit/export/', () => {
  async function exported(
    brand: Brand | string,
    query = '',
  ): Promise<{ status: number; type: unknown; lines: string[] }> {
    const key = typeof brand === 'string' ? brand : brand.key;
    const url = `${AUDIT}export/${query}`;
    const { statusCode, headers, body } = await api.app.inject({ method: 'GET', url, headers: { 'x-api-key': key } });
    return { status: statusCode, type: headers['content-type'], lines: body.split('\n').filter((line) => line !== '') };
  }

  async function verify(lines: readonly string[]) {
    return verifyExport(
      (async function* each() {
        yield* lines;
      })(),
      null,
    );
  }

  /** Has so many things happen to a brand. */
  async function happen(brand: Brand, times: number): Promise<void> {
    const change = { type: 'session.changed', applicationId: brand.id } as const;
    await handoffTenants(api.tenants, testSealer, testBlindIndex).withTenant(brand.id, async (tx) =>
      tx.events.record(
        Array.from({ length: times }, () => ({ ...change, sessionId: randomUUID() })),
        { kind: 'system', id: null },
      ),
    );
  }

  it('is the whole chain, however long, and verifies without the database', async () => {
    const brand = await api.newBrand();
    await happen(brand, 1201);
    await seal(brand);
    await happen(brand, 1);
    const { status, type, lines } = await exported(brand);
    expect({ status, type }).toEqual({ status: 200, type: 'application/x-ndjson; charset=utf-8' });
    expect(await verify(lines)).toMatchObject({ applicationId: brand.id, events: 1201, links: 0, findings: [] });
    expect((await verify(lines.slice(0, -1))).findings).toMatchObject([{ code: 'export_cut' }]);
    const altered = lines.map((line, index) =>
      index === 700 ? line.replace('session.changed', 'session.created') : line,
    );
    expect((await verify(altered)).findings).not.toEqual([]);
  });

  it('of a stretch of time leaves links in the place of the others, and verifies as well', async () => {
    const brand = await api.newBrand();
    await happen(brand, 2);
    await seal(brand);
    await happen(brand, 3);
    await happen(brand, 4);
    await seal(brand);
    const times = results(await list(brand)).map(({ created_at }) => String(created_at));
    const since = times[6];
    const until = times[4];
    const { lines } = await exported(brand, `?since=${since}&until=${until}`);
    // What was sealed before is left out, but for the last of it, which shows when that was.
    expect(await verify(lines)).toMatchObject({ events: 3, links: 5, after: 1, findings: [] });
    expect(await verify((await exported(brand, `?until=${times[8]}`)).lines)).toMatchObject({ events: 1, links: 8 });
    const none = await exported(brand, '?since=2999-01-01T00:00:00Z');
    expect(await verify(none.lines)).toMatchObject({ events: 0, links: 1, after: 8, findings: [] });
  });

  it('of an application without a sealed event is a header and an end', async () => {
    const { lines } = await exported(await api.newBrand());
    expect(lines.map((line) => (JSON.parse(line) as JsonObject)['kind'])).toEqual(['header', 'end']);
  });

  it('is for keys that may read the trail, and needs a time that is one', async () => {
    expect((await exported(await api.newKey(api.issuer, { sessions: 'write' }))).status).toBe(403);
    for (const name of ['since', 'type', 'format']) {
      const { status, lines } = await exported(api.issuer, `?${name}=yesterday`);
      expect([status, Object.keys(JSON.parse(lines[0] ?? '') as object)]).toEqual([
        400,
        expect.arrayContaining([name]),
      ]);
    }
  });
});
