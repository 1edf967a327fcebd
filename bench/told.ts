import { createWebhookDestination } from '../src/accounts/applications.ts';
import { createBlindIndex } from '../src/crypto/blind-index.ts';
import { parseKeyRing } from '../src/crypto/key-ring.ts';
import { createSealer } from '../src/crypto/payload-seal.ts';
import type { JsonObject } from '../src/domain/json.ts';
import { dispatchEvents } from '../src/postgres/deliveries.ts';
import { handoffTenants } from '../src/postgres/handoff-tenants.ts';
import { newId } from '../src/postgres/new-id.ts';
import { createTenants } from '../src/postgres/tenants.ts';
import type { BenchBrand } from './brands.ts';
import type { Lab, LabDatabase } from './lab.ts';

/** Brands that are told of something, by the statements that the service has for it. */
export interface Told {
  /** Commits a `status.updated` with this decision for so many sessions of a brand, and their deliveries. */
  tell(brand: BenchBrand, count: number, decision: JsonObject): Promise<void>;
}

/** Events in one transaction. */
const BATCH = 50;

/**
 * Gives each brand a webhook destination, of which nobody checks the URL here.
 *
 * @param env as our processes get it
 */
export async function openTold(
  lab: Lab,
  database: LabDatabase,
  env: Readonly<Record<string, string>>,
  destinations: readonly { readonly brand: BenchBrand; readonly url: string }[],
): Promise<Told> {
  const tenants = createTenants({ databaseUrl: database.url, maxConnections: 2 });
  lab.onEnd(() => tenants.close());
  const sealer = createSealer({
    content: parseKeyRing(env['CONTENT_ENCRYPTION_KEYS'] ?? ''),
    secrets: parseKeyRing(env['KEY_ENCRYPTION_KEYS'] ?? ''),
  });
  const blindIndex = createBlindIndex(Buffer.from(env['BLIND_INDEX_KEY'] ?? '', 'base64url'));
  const handoff = handoffTenants(tenants, sealer, blindIndex);
  await tenants.acrossTenants('provision', async (sql) => {
    for (const { brand, url } of destinations) {
      const subscribedEvents = ['status.updated'] as const;
      await createWebhookDestination(sql, sealer, { applicationId: brand.id, url, label: 'bench', subscribedEvents });
    }
  });

  async function tellBatch(brand: BenchBrand, count: number, decision: JsonObject): Promise<void> {
    const type = 'status.updated';
    const events = Array.from({ length: count }, () => {
      const sessionId = newId();
      const body = {
        webhook_type: type,
        application_id: brand.id,
        environment: 'sandbox',
        session_id: sessionId,
        status: 'Approved',
        decision,
      };
      const about = { applicationId: brand.id, tokenId: null, sessionId };
      return { type, ...about, dedupeKey: `bench:${sessionId}`, body } as const;
    });
    await handoff.withTenant(brand.id, async (tx) => tx.events.insert(events, { kind: 'system', id: null }));
    const { rows } = await database.pool.query<{ id: string }>(
      `select subject_id as id from outbox where wish = 'dispatch'`,
    );
    await tenants.acrossTenants('carry_out', (tx) => dispatchEvents(tx, { eventIds: rows.map(({ id }) => id) }));
  }

  return {
    tell: async (brand, count, decision) => {
      for (let left = count; left > 0; left -= BATCH) await tellBatch(brand, Math.min(left, BATCH), decision);
    },
  };
}
