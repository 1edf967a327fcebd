import type { FastifyInstance, InjectOptions } from 'fastify';
import { afterAll, beforeAll, expect } from 'vitest';
import { createApiKey, createApplication, createVerificationWorkflow } from '../../src/accounts/applications.ts';
import type { Privileges } from '../../src/accounts/privileges.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { buildApp, type AppDeps } from '../../src/http/app.ts';
import { failuresOf } from '../../src/http/openapi/failures.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { createTenants, type Tenants, type Wish } from '../../src/postgres/tenants.ts';
import type { Environment } from '../../src/sharing/ports.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { nameKeys } from '../support/signing-keys.ts';
import { testAppParts, testBlindIndex, testSealer } from '../support/app-parts.ts';

/** A brand: its application, an all-powerful key and its two default verification workflows. */
export interface Brand {
  readonly id: string;
  readonly key: string;
  readonly keyId: string;
  readonly workflows: { readonly user: string; readonly business: string };
}

export interface Answer {
  readonly status: number;
  // Tests state the shapes that they expect.
  readonly body: JsonObject;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface TestApi {
  readonly database: TestDatabase;
  readonly tenants: Tenants;
  readonly app: FastifyInstance;
  readonly issuer: Brand;
  readonly partner: Brand;
  readonly third: Brand;
  /** Wishes that transactions committed. */
  readonly wishes: Wish[];
  /** Sends one request as a brand (or with a key, or with none) and holds its answer against the route's contract. */
  call(
    as: Brand | string | null,
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT' | 'HEAD' | 'OPTIONS',
    url: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer>;
  newBrand(environment?: Environment): Promise<Brand>;
  newKey(brand: Brand, privileges: Privileges, expiresAt?: string): Promise<string>;
  /** Rows of every table together; budgets of calls are no rows that count. */
  rows(): Promise<Record<string, number>>;
}

export const KEYS = parseKeyRing(
  `2026-11:${Buffer.alloc(32, 1).toString('base64url')},2026-05:${Buffer.alloc(32, 2).toString('base64url')}`,
);

/** The app on a database of its own, with three sandbox brands. May be used from `beforeAll` on. */
export function testApi(overrides: Partial<AppDeps> = {}): TestApi {
  const database = testDatabase();
  const wishes: Wish[] = [];
  const mismatches: string[] = [];
  let opened:
    | (Pick<TestApi, 'tenants' | 'app' | 'issuer' | 'partner' | 'third'> & { close(): Promise<void> })
    | undefined;
  const there = () => {
    if (opened === undefined) throw new Error('The app is there from beforeAll on');
    return opened;
  };

  beforeAll(async () => {
    const tenants = createTenants({ databaseUrl: database.url, afterCommit: (made) => wishes.push(...made) });
    const app = buildApp({
      tenants: handoffTenants(tenants, testSealer, testBlindIndex),
      shareTokenKeys: KEYS,
      style: { businessStatusCase: 'upper' },
      webhookUrlRules: { allowHttp: false, allowedPorts: [], allowedCidrs: [] },
      logger: false,
      ...testAppParts(),
      // No sender works for most tests.
      resendWaitMs: 500,
      readiness: async () => ({ database: 'ok', migrations: 'ok', temporal: 'ok', search_attributes: 'ok' }),
      ...overrides,
    });
    checkContracts(app, mismatches);
    await app.ready();
    await tenants.acrossTenants('secrets', async (sql) => nameKeys(sql, KEYS));
    const [issuer, partner, third] = [await brand(tenants), await brand(tenants), await brand(tenants)];
    opened = {
      tenants,
      app,
      issuer,
      partner,
      third,
      close: async () => {
        await app.close();
        await tenants.close();
      },
    };
  });
  afterAll(async () => {
    await opened?.close();
  });

  return {
    database,
    wishes,
    get tenants() {
      return there().tenants;
    },
    get app() {
      return there().app;
    },
    get issuer() {
      return there().issuer;
    },
    get partner() {
      return there().partner;
    },
    get third() {
      return there().third;
    },
    call: async (as, method, url, body, headers = {}) => {
      const key = typeof as === 'string' ? as : as?.key;
      const options: InjectOptions = {
        method,
        url,
        headers: { ...headers, ...(key !== undefined && { 'x-api-key': key }) },
      };
      if (body !== undefined) options.payload = body as NonNullable<InjectOptions['payload']>;
      const response = await there().app.inject(options);
      expect(mismatches.splice(0)).toEqual([]);
      expect(response.headers['x-request-id']).toMatch(/^[\w.-]+$/);
      return {
        status: response.statusCode,
        body: isJson(response.headers) ? (JSON.parse(response.body) as JsonObject) : {},
        headers: response.headers,
      };
    },
    newBrand: (environment) => brand(there().tenants, environment),
    newKey: (of, privileges, expiresAt) =>
      there().tenants.acrossTenants(
        'provision',
        async (sql) =>
          createApiKey(sql, {
            applicationId: of.id,
            environment: 'sandbox',
            name: 'test',
            privileges,
            expiresAt: expiresAt ?? null,
          }).apiKey,
      ),
    rows: async () => {
      const tables = await database.pool.query<{ name: string }>(
        `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relpersistence = 'p' order by 1`,
      );
      const counts = tables.rows.map(({ name }) => `select '${name}' as name, count(*)::int as count from "${name}"`);
      const found = await database.pool.query<{ name: string; count: number }>(counts.join(' union all '));
      return Object.fromEntries(found.rows.map(({ name, count }) => [name, count]));
    },
  };
}

function isJson(headers: Readonly<Record<string, unknown>>): boolean {
  return String(headers['content-type']).startsWith('application/json');
}

/** Notes every answer that its route's contract does not describe. */
function checkContracts(app: FastifyInstance, mismatches: string[]): void {
  app.addHook('onSend', async (request, reply, payload) => {
    const route = app.documentedRoutes.find(
      ({ method, url }) => method === request.method && url === request.routeOptions.url,
    );
    if (route === undefined) return payload;
    const { contract } = route;
    const where = `${request.method} ${request.routeOptions.url} ${reply.statusCode}`;
    const schema = contract.replies[reply.statusCode];
    if (schema === undefined) mismatches.push(`${where}: status not in the contract`);
    else if (schema !== null && isJson(reply.getHeaders())) {
      const parsed = schema.safeParse(JSON.parse(String(payload)));
      if (!parsed.success) mismatches.push(`${where}: ${parsed.error.message}`);
      const { code } = (parsed.data ?? {}) as { code?: unknown };
      const codes: readonly unknown[] | undefined = failuresOf(route).get(reply.statusCode);
      if (codes !== undefined && !codes.includes(code) && code !== 'invalid_request') {
        mismatches.push(`${where}: its contract does not name ${String(code)} in refusals`);
      }
    }
    return payload;
  });
}

function brand(tenants: Tenants, environment: Environment = 'sandbox'): Promise<Brand> {
  return tenants.acrossTenants('provision', async (sql) => {
    const id = createApplication(sql, { name: 'Test brand', environment });
    const { keyId, apiKey } = createApiKey(sql, { applicationId: id, environment, name: 'all' });
    const workflow = (kind: 'user' | 'business') =>
      createVerificationWorkflow(sql, { applicationId: id, label: kind, kind, isDefault: true });
    return { id, key: apiKey, keyId, workflows: { user: workflow('user'), business: workflow('business') } };
  });
}

/** Text of an answer's member. */
export function textOf(answer: Answer, member: string): string {
  const value = answer.body[member];
  if (typeof value !== 'string')
    throw new Error(`${member} is no text in ${JSON.stringify(answer.body).slice(0, 500)}`);
  return value;
}
