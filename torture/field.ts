import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { createApiKey, createApplication, createWebhookDestination } from '../src/accounts/applications.ts';
import { connectHandoffClient } from '../src/client.ts';
import { createBlindIndex } from '../src/crypto/blind-index.ts';
import { parseKeyRing } from '../src/crypto/key-ring.ts';
import { createSealer, type Sealer } from '../src/crypto/payload-seal.ts';
import { handoffTenants } from '../src/postgres/handoff-tenants.ts';
import { createTenants, type Tenants } from '../src/postgres/tenants.ts';
import { actNow } from '../src/relay/act-now.ts';
import { environment, openDatabase, type Lab } from './lab.ts';

/** An application with one webhook destination. */
export interface Target {
  readonly applicationId: string;
  readonly destinationId: string;
}

/** A database with receiving applications, and events for them as the service itself makes them. */
export interface Field {
  readonly pool: Pool;
  readonly tenants: Tenants;
  readonly sealer: Sealer;
  /** What processes on this database are started with. */
  readonly env: Readonly<Record<string, string>>;
  /** An application with an API key, and no destination. */
  application(): Promise<{ readonly applicationId: string; readonly apiKey: string }>;
  /** An application with a destination, whose URL nobody checks here. */
  target(url: string): Promise<Target>;
  /** Commits a `status.updated` for an application and has it dispatched; resolves to its `session_id`. */
  tell(applicationId: string): Promise<string>;
}

/**
 * Opens a field on a database of the part's own.
 *
 * @param settings beside those of `environment`
 */
export async function openField(lab: Lab, settings: Readonly<Record<string, string>> = {}): Promise<Field> {
  const database = await openDatabase(lab);
  const env = environment(lab, database, settings);
  // Dispatching needs no Temporal; what does is left to whoever runs a relay.
  const client = connectHandoffClient();
  lab.onEnd(() => client.close());
  const act = actNow(
    () => ({ tenants, client }),
    (error) => lab.say(`Dispatching: ${String(error)}`),
  );
  const tenants = createTenants({ databaseUrl: database.url, afterCommit: act.afterCommit });
  lab.onEnd(() => tenants.close());
  lab.onEnd(() => act.idle());
  const sealer = createSealer({
    content: parseKeyRing(env['CONTENT_ENCRYPTION_KEYS'] ?? ''),
    secrets: parseKeyRing(env['KEY_ENCRYPTION_KEYS'] ?? ''),
  });
  const blindIndex = createBlindIndex(Buffer.from(env['BLIND_INDEX_KEY'] ?? '', 'base64url'));
  const handoff = handoffTenants(tenants, sealer, blindIndex);
  const environmentName = 'sandbox';

  const application: Field['application'] = () =>
    tenants.acrossTenants('provision', async (sql) => {
      const applicationId = createApplication(sql, { name: 'Target', environment: environmentName });
      const { apiKey } = createApiKey(sql, { applicationId, environment: environmentName, name: 'all' });
      return { applicationId, apiKey };
    });
  return {
    pool: database.pool,
    tenants,
    sealer,
    env,
    application,
    target: async (url) => {
      const { applicationId } = await application();
      const made = await tenants.acrossTenants('provision', (sql) =>
        createWebhookDestination(sql, sealer, {
          applicationId,
          url,
          label: 'torture',
          subscribedEvents: ['status.updated'],
        }),
      );
      if (made === null) throw new Error('the only destination of its application');
      return { applicationId, destinationId: made.destinationId };
    },
    tell: async (applicationId) => {
      const sessionId = randomUUID();
      const type = 'status.updated';
      const body = {
        webhook_type: type,
        application_id: applicationId,
        environment: environmentName,
        session_id: sessionId,
        status: 'Approved',
      };
      const event = { type, applicationId, tokenId: null, sessionId, dedupeKey: `torture:${sessionId}`, body } as const;
      await handoff.withTenant(applicationId, async (tx) => tx.events.insert([event], { kind: 'system', id: null }));
      return sessionId;
    },
  };
}
