import { newWebhookSecret } from '../crypto/webhook-signature.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type { EventType } from '../domain/events.ts';
import { insertApiKey } from '../postgres/api-keys.ts';
import { insertApplication, insertVerificationWorkflow } from '../postgres/applications.ts';
import { newId } from '../postgres/new-id.ts';
import type { Transaction } from '../postgres/tenants.ts';
import { insertDestination } from '../postgres/webhook-destinations.ts';
import type { Environment, PayloadSealer } from '../sharing/ports.ts';
import { newApiKey } from './api-keys.ts';
import { ALL_PRIVILEGES, type Privileges } from './privileges.ts';

/** Makes an application (a brand's workspace) and returns its id. Run it in the crossing `provision`. */
export function createApplication(sql: Transaction, application: { name: string; environment: Environment }): string {
  const applicationId = newId();
  insertApplication(sql, { applicationId, ...application });
  return applicationId;
}

/** Makes an API key. The text is returned here and can never be read again. `expiresAt` is ISO 8601. */
export function createApiKey(
  sql: Transaction,
  key: {
    applicationId: string;
    environment: Environment;
    name: string;
    privileges?: Privileges;
    expiresAt?: string | null;
  },
): { keyId: string; apiKey: string } {
  const made = newApiKey(key.environment);
  insertApiKey(sql, made, {
    applicationId: key.applicationId,
    name: key.name,
    privileges: key.privileges ?? ALL_PRIVILEGES,
    expiresAt: key.expiresAt ?? null,
  });
  return { keyId: made.keyId, apiKey: made.text };
}

/** Makes a verification workflow and returns its id; a default one takes the place of the kind's earlier default. */
export function createVerificationWorkflow(
  sql: Transaction,
  workflow: { applicationId: string; label: string; kind: SessionKind; isDefault?: boolean },
): string {
  const workflowId = newId();
  insertVerificationWorkflow(sql, { workflowId, ...workflow, isDefault: workflow.isDefault ?? false });
  return workflowId;
}

/**
 * Makes a webhook destination and returns its id and secret bytes (`diditSecret` and `standardSecret` write them for
 * receivers); null when the application has this URL already. The URL is not checked here: routes do that.
 */
export async function createWebhookDestination(
  sql: Transaction,
  sealer: PayloadSealer,
  destination: {
    applicationId: string;
    url: string;
    subscribedEvents: readonly EventType[];
    label?: string | undefined;
    enabled?: boolean | undefined;
  },
): Promise<{ destinationId: string; secret: Buffer } | null> {
  const secret = newWebhookSecret();
  const destinationId = await insertDestination(sql, sealer, {
    applicationId: destination.applicationId,
    url: destination.url,
    subscribedEvents: destination.subscribedEvents,
    label: destination.label ?? new URL(destination.url).host.slice(0, 255),
    enabled: destination.enabled ?? true,
    secret,
  });
  return destinationId === null ? null : { destinationId, secret };
}
