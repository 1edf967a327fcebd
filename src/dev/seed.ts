import { readFileSync } from 'node:fs';
import { Pool } from 'pg';
import { createApiKey, createApplication, createVerificationWorkflow } from '../accounts/applications.ts';
import type { JsonObject } from '../domain/json.ts';
import { createTenants } from '../postgres/tenants.ts';
import { apiOf } from './api.ts';
import type { Progress } from './progress.ts';
import type { Receiver } from './receiver.ts';
import type { SandboxApplication, SandboxSession } from './sandbox.ts';

/** What `npm start` keeps of its sandbox for itself, beside `sandbox.json`. */
export interface SeededSandbox {
  readonly applications: readonly SandboxApplication[];
  readonly destinations: readonly SeededDestination[];
  readonly sessions: readonly SandboxSession[];
}

/** A brand's webhook destination, with the secret that it was shown once. */
export interface SeededDestination {
  readonly application_id: string;
  readonly uuid: string;
  readonly secret_shared_key: string;
}

/** The records that the main job needs, the people of the company before the company. */
const SAMPLES = ['kyc-director', 'kyc-owner', 'kyc-approved', 'kyb-approved'];

const EVENTS: Readonly<Record<SandboxApplication['role'], string[]>> = {
  issuer: [
    'share.minted',
    'share.imported',
    'share.refused',
    'share.revoked',
    'share.expired',
    'share.undeliverable',
    'share.rejected',
  ],
  partner: ['share.received', 'status.updated', 'share.imported', 'share.refused', 'share.revoked', 'share.expired'],
};

/** Two sandbox brands in an active connection, each with a key, verification workflows and a webhook destination. */
export async function seedSandbox(
  databaseUrl: string,
  apiUrl: string,
  receiver: Receiver,
  say: Progress,
): Promise<SeededSandbox> {
  const [issuer, partner] = await createBrands(databaseUrl);
  say(`Brands: ${issuer.name} (issuer) and ${partner.name} (partner)`);
  const asIssuer = apiOf(apiUrl, issuer.api_key);
  const asPartner = apiOf(apiUrl, partner.api_key);
  const destinations: SeededDestination[] = [];
  for (const [brand, api] of [
    [issuer, asIssuer],
    [partner, asPartner],
  ] as const) {
    const created = await api('POST', '/v3/webhook/destinations/', {
      label: 'sandbox',
      url: receiver.urlOf(brand.role),
      subscribed_events: EVENTS[brand.role],
    });
    destinations.push({
      application_id: brand.application_id,
      uuid: String(created['uuid']),
      secret_shared_key: String(created['secret_shared_key']),
    });
  }
  const connection = await asIssuer('POST', '/v1/connections/', { partner_application_id: partner.application_id });
  await asPartner('PATCH', `/v1/connections/${String(connection['connection_id'])}/`, {
    status: 'active',
    acceptance: 'acknowledge',
    trust_review: true,
  });
  say('Connection proposed by the issuer and activated by the partner (acceptance: acknowledge, trust_review: true)');
  const sessions: SandboxSession[] = [];
  for (const sample of SAMPLES) {
    const file = new URL(`../../samples/${sample}.json`, import.meta.url);
    const taken = await asIssuer('POST', '/v1/sessions/', JSON.parse(readFileSync(file, 'utf8')) as JsonObject);
    sessions.push(sessionOf(taken, issuer.application_id));
    say(`Taken in: samples/${sample}.json, ${String(taken['session_kind'])}, ${String(taken['status'])}`);
  }
  return { applications: [issuer, partner], destinations, sessions };
}

/** A stored session, as `sandbox.json` lists it. */
export function sessionOf(decision: JsonObject, applicationId: string): SandboxSession {
  return {
    session_id: String(decision['session_id']),
    session_kind: String(decision['session_kind']),
    status: String(decision['status']),
    application_id: applicationId,
  };
}

/** Whether the database still holds the brands that an earlier start seeded. */
export async function isSeeded(databaseUrl: string, seeded: SeededSandbox): Promise<boolean> {
  const pool = new Pool({ connectionString: databaseUrl, max: 1 });
  try {
    const { rows } = await pool.query<{ found: number }>(
      'select count(*)::int as found from application where application_id = any ($1::uuid[])',
      [seeded.applications.map(({ application_id }) => application_id)],
    );
    return rows[0]?.found === seeded.applications.length;
  } finally {
    await pool.end();
  }
}

async function createBrands(databaseUrl: string): Promise<readonly [SandboxApplication, SandboxApplication]> {
  const tenants = createTenants({ databaseUrl, maxConnections: 1 });
  try {
    return await tenants.acrossTenants('provision', async (sql) => {
      const brand = (role: SandboxApplication['role'], name: string): SandboxApplication => {
        const environment = 'sandbox';
        const applicationId = createApplication(sql, { name, environment });
        const { apiKey } = createApiKey(sql, { applicationId, environment, name: 'sandbox' });
        const workflow = (kind: 'user' | 'business', label: string) =>
          createVerificationWorkflow(sql, { applicationId, label, kind, isDefault: true });
        return {
          role,
          name,
          application_id: applicationId,
          api_key: apiKey,
          workflows: { user: workflow('user', 'KYC'), business: workflow('business', 'KYB') },
        };
      };
      return [brand('issuer', 'Aurora Bank'), brand('partner', 'Borealis Invest')] as const;
    });
  } finally {
    await tenants.close();
  }
}
