import { randomBytes } from 'node:crypto';
import { createApiKey, createApplication, createVerificationWorkflow } from '../src/accounts/applications.ts';
import { EVENT_TYPES } from '../src/domain/events.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../src/domain/json.ts';
import { ACCEPTANCES, type Acceptance } from '../src/domain/onboarding.ts';
import { createTenants } from '../src/postgres/tenants.ts';
import type { Random } from './random.ts';

/** An application of the load, with what its endpoint's deliveries are signed with. */
export interface Brand {
  readonly id: string;
  readonly key: string;
  /** Eight characters that mark whatever this brand took in itself: see `documents.ts`. */
  readonly mark: string;
  /** Default verification workflow for people; and for companies. */
  readonly workflows: { readonly user: string; readonly business: string };
  readonly destinationId: string;
  /** As shown once when the destination was created. */
  readonly secrets: { readonly secret_shared_key: string; readonly secret_standard_webhooks: string };
  /** How this brand, as a partner, takes shares: by the issuer's id. */
  readonly accepts: ReadonlyMap<string, Acceptance>;
}

/** What brands are made with, before anything is broken. */
export interface BrandOrder {
  /** Direct, of the superuser. */
  readonly databaseUrl: string;
  /** Base URL of a server that answers. */
  readonly apiUrl: string;
  /** Where an application's webhooks go, by its id: `PartnerSimulator.urlFor`. */
  readonly webhookUrl: (applicationId: string) => string;
  readonly random: Random;
  /** Default 4. */
  readonly count?: number;
}

type Provisioned = Pick<Brand, 'id' | 'key' | 'workflows'>;

/**
 * Makes sandbox applications, each with a key for everything, a default verification workflow of each kind, a destination
 * subscribed to all that is sent, and a connection from every other one: a third of them by acknowledgement, by the
 * partner's own import, and automatic.
 */
export async function createBrands(order: BrandOrder): Promise<readonly Brand[]> {
  const { databaseUrl, apiUrl, webhookUrl, random, count = 4 } = order;
  const provisioned = await provision(databaseUrl, count);
  const turns = random.shuffled(ACCEPTANCES);
  const brands: Brand[] = [];
  for (const brand of provisioned) {
    const destination = await done(apiUrl, brand, 'POST', '/v3/webhook/destinations/', {
      url: webhookUrl(brand.id),
      subscribed_events: [...EVENT_TYPES],
    });
    brands.push({
      ...brand,
      mark: randomBytes(4).toString('hex'),
      destinationId: textOf(destination, 'uuid'),
      secrets: {
        secret_shared_key: textOf(destination, 'secret_shared_key'),
        secret_standard_webhooks: textOf(destination, 'secret_standard_webhooks'),
      },
      accepts: await connectFromAll(apiUrl, provisioned, brand, turns, random),
    });
  }
  return brands;
}

/** Every other brand proposes a connection, and this one activates it on its own terms. */
async function connectFromAll(
  apiUrl: string,
  all: readonly Provisioned[],
  partner: Provisioned,
  turns: readonly Acceptance[],
  random: Random,
): Promise<ReadonlyMap<string, Acceptance>> {
  const accepts = new Map<string, Acceptance>();
  for (const [index, issuer] of all.entries()) {
    if (issuer.id === partner.id) continue;
    const proposal = { partner_application_id: partner.id };
    const { connection_id: id } = await done(apiUrl, issuer, 'POST', '/v1/connections/', proposal);
    const acceptance = turns[(index + all.indexOf(partner)) % turns.length] ?? 'acknowledge';
    await done(apiUrl, partner, 'PATCH', `/v1/connections/${String(id)}/`, {
      status: 'active',
      acceptance,
      trust_review: random.next() < 0.5,
      vendor_data_rule: random.pick(['prefixed', 'same'] as const),
    });
    accepts.set(issuer.id, acceptance);
  }
  return accepts;
}

async function provision(databaseUrl: string, count: number): Promise<Provisioned[]> {
  const tenants = createTenants({ databaseUrl, maxConnections: 1 });
  try {
    return await tenants.acrossTenants('provision', async (sql) =>
      Array.from({ length: count }, (_, index) => {
        const environment = 'sandbox';
        const id = createApplication(sql, { name: `Chaos brand ${index + 1}`, environment });
        const { apiKey } = createApiKey(sql, { applicationId: id, environment, name: 'all' });
        const workflow = (kind: 'user' | 'business') =>
          createVerificationWorkflow(sql, { applicationId: id, label: kind, kind, isDefault: true });
        return { id, key: apiKey, workflows: { user: workflow('user'), business: workflow('business') } };
      }),
    );
  } finally {
    await tenants.close();
  }
}

async function done(
  apiUrl: string,
  as: Pick<Brand, 'key'>,
  method: string,
  path: string,
  body: JsonObject,
): Promise<JsonObject> {
  const response = await fetch(new URL(path, apiUrl), {
    method,
    headers: { 'x-api-key': as.key, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as JsonValue;
  if (!response.ok || !isJsonObject(answer)) {
    throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
  }
  return answer;
}

function textOf(answer: JsonObject, member: string): string {
  const value = answer[member];
  if (typeof value !== 'string') throw new Error(`the answer has no ${member}`);
  return value;
}
