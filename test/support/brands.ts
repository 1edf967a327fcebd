import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createApiKey, createApplication, createVerificationWorkflow } from '../../src/accounts/applications.ts';
import { EVENT_TYPES } from '../../src/domain/events.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import type { EndpointSecrets, ScriptedEndpoint, ScriptedPartner } from './scripted-partner.ts';

/** One brand, as its own backend knows it. */
export interface Brand {
  readonly id: string;
  readonly key: string;
  /** Default verification workflows. */
  readonly workflows: { readonly user: string; readonly business: string };
  /** Where it receives every event there is. */
  readonly endpoint: ScriptedEndpoint;
  /** Id of its webhook destination; `null` when it has none. */
  readonly destinationId: string | null;
}

/** An answer of the HTTP API. */
export interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

/** Names of the samples. */
export type Sample = 'kyc-approved' | 'kyc-in-review' | 'kyc-director' | 'kyc-owner' | 'kyb-approved' | 'kyb-in-review';

/** What a partner sets on its connection. */
export interface ConnectionTerms {
  readonly acceptance?: 'acknowledge' | 'redeem' | 'automatic';
  readonly trust_review?: boolean;
  readonly vendor_data_rule?: 'prefixed' | 'same';
}

/** Brands, and the HTTP calls that they make. */
export interface Brands {
  /** A sandbox brand with a key, verification workflows and, unless it shall have none, a webhook destination. */
  add(options?: { readonly destination?: boolean }): Promise<Brand>;
  call(as: Brand, method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: JsonObject): Promise<Answer>;
  /** Calls and expects a 2xx; the error shows the answer. */
  done(as: Brand, method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: JsonObject): Promise<JsonObject>;
  /** Proposes and activates a connection. */
  connect(issuer: Brand, partner: Brand, terms: ConnectionTerms): Promise<void>;
  /** Takes in a sample and returns its session id; it is a new session unless `changes` name its `external_id`. */
  takeIn(issuer: Brand, sample: Sample, changes?: JsonObject): Promise<string>;
  /** Takes in the sample company with its director and owner. */
  takeInCompany(issuer: Brand): Promise<{ company: string; director: string; owner: string }>;
  /** Opens an onboarding and returns its token id. */
  open(issuer: Brand, partner: Brand, sessionId: string, ttlSeconds?: number): Promise<string>;
  acknowledge(partner: Brand, tokenId: string, body?: JsonObject): Promise<Answer>;
  revoke(issuer: Brand, tokenId: string): Promise<Answer>;
  /** The onboarding as one side reads it. */
  read(as: Brand, tokenId: string): Promise<JsonObject>;
}

/** @param servers.apiUrl asked again at each call: it may move */
export function brandsOf(servers: {
  readonly databaseUrl: string;
  readonly apiUrl: () => string;
  readonly receiver: ScriptedPartner;
}): Brands {
  const brands: Brands = {
    add: async ({ destination = true } = {}) => {
      const made = await provision(servers.databaseUrl);
      const endpoint = servers.receiver.endpoint(made.id);
      const brand = { ...made, endpoint, destinationId: null };
      if (!destination) return brand;
      const created = await brands.done(brand, 'POST', '/v3/webhook/destinations/', {
        url: endpoint.url,
        subscribed_events: [...EVENT_TYPES],
      });
      endpoint.secrets = created as unknown as EndpointSecrets;
      return { ...brand, destinationId: String(created['uuid']) };
    },
    call: async (as, method, path, body) => {
      const response = await fetch(new URL(path, servers.apiUrl()), {
        method,
        headers: { 'x-api-key': as.key, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as JsonObject };
    },
    done: async (as, method, path, body) => {
      const answer = await brands.call(as, method, path, body);
      if (answer.status > 299) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      return answer.body;
    },
    connect: async (issuer, partner, terms) => {
      const proposed = await brands.done(issuer, 'POST', '/v1/connections/', { partner_application_id: partner.id });
      const path = `/v1/connections/${String(proposed['connection_id'])}/`;
      await brands.done(partner, 'PATCH', path, { status: 'active', ...terms });
    },
    takeIn: async (issuer, sample, changes = { external_id: randomUUID() }) => {
      const taken = await brands.done(issuer, 'POST', '/v1/sessions/', { ...readSample(sample), ...changes });
      return String(taken['session_id']);
    },
    takeInCompany: async (issuer) => {
      const [director, owner] = [
        await brands.takeIn(issuer, 'kyc-director', {}),
        await brands.takeIn(issuer, 'kyc-owner', {}),
      ];
      return { company: await brands.takeIn(issuer, 'kyb-approved'), director, owner };
    },
    open: async (issuer, partner, sessionId, ttlSeconds) => {
      const opened = await brands.done(issuer, 'POST', '/v1/onboardings/', {
        session_id: sessionId,
        for_application_id: partner.id,
        ...(ttlSeconds !== undefined && { ttl_in_seconds: ttlSeconds }),
      });
      return String(opened['token_id']);
    },
    acknowledge: (partner, tokenId, body = { accept: true }) =>
      brands.call(partner, 'POST', `/v1/onboardings/${tokenId}/acknowledge/`, body),
    revoke: (issuer, tokenId) => brands.call(issuer, 'POST', `/v1/onboardings/${tokenId}/revoke/`, {}),
    read: (as, tokenId) => brands.done(as, 'GET', `/v1/onboardings/${tokenId}/`),
  };
  return brands;
}

/** A sample's document. */
export function readSample(sample: Sample): JsonObject {
  return JSON.parse(readFileSync(new URL(`../../samples/${sample}.json`, import.meta.url), 'utf8')) as JsonObject;
}

async function provision(databaseUrl: string): Promise<Pick<Brand, 'id' | 'key' | 'workflows'>> {
  const tenants = createTenants({ databaseUrl, maxConnections: 1 });
  try {
    return await tenants.acrossTenants('provision', async (sql) => {
      const environment = 'sandbox';
      const id = createApplication(sql, { name: 'Test brand', environment });
      const { apiKey } = createApiKey(sql, { applicationId: id, environment, name: 'all' });
      const workflow = (kind: 'user' | 'business') =>
        createVerificationWorkflow(sql, { applicationId: id, label: kind, kind, isDefault: true });
      return { id, key: apiKey, workflows: { user: workflow('user'), business: workflow('business') } };
    });
  } finally {
    await tenants.close();
  }
}
