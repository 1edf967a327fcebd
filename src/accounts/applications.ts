import { randomBytes } from 'node:crypto';
import { newWebhookSecret } from '../crypto/webhook-signature.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type { Actor, SubscribableEvent } from '../domain/events.ts';
import { DEFAULT_FEATURES, type FeatureStep, type WorkflowSettings } from '../domain/verification-workflow.ts';
import { insertApiKey } from '../postgres/api-keys.ts';
import { insertApplication, type ApplicationDetails } from '../postgres/applications.ts';
import { newId } from '../postgres/new-id.ts';
import type { Transaction } from '../postgres/tenants.ts';
import { insertWorkflow } from '../postgres/verification-workflows.ts';
import { insertDestination } from '../postgres/webhook-destinations.ts';
import type { Environment, HandoffTransaction, PayloadSealer } from '../sharing/ports.ts';
import { newApiKey } from './api-keys.ts';
import { ALL_PRIVILEGES, type Privileges } from './privileges.ts';

/** What an application is made of; it belongs to no organization unless one is named. */
export interface NewApplication {
  readonly name: string;
  readonly environment: Environment;
  readonly organizationId?: string;
  readonly details?: ApplicationDetails;
}

/** Makes an application (a brand's workspace) and returns its id. Run it in the crossing `provision`. */
export function createApplication(sql: Transaction, application: NewApplication): string {
  const applicationId = newId();
  insertApplication(sql, {
    applicationId,
    name: application.name,
    environment: application.environment,
    organizationId: application.organizationId ?? null,
    clientId: randomBytes(16).toString('base64url'),
    details: application.details ?? {},
  });
  return applicationId;
}

/** Makes an application that can be used at once: with a default verification workflow of each kind and a key for all. */
export function provisionApplication(
  tx: Pick<HandoffTransaction, 'events'>,
  sql: Transaction,
  application: NewApplication,
  person: Actor & { readonly id: string },
): { applicationId: string; apiKey: string } {
  const applicationId = createApplication(sql, application);
  createVerificationWorkflow(sql, { applicationId, label: 'KYC', kind: 'user', isDefault: true });
  createVerificationWorkflow(sql, { applicationId, label: 'KYB', kind: 'business', isDefault: true });
  const { name, environment } = application;
  const { keyId, apiKey } = createApiKey(sql, { applicationId, environment, name: 'Default', createdBy: person.id });
  tx.events.record(
    [
      { type: 'application.created', applicationId, after: { name, environment } },
      { type: 'api_key.created', applicationId, keyId, after: { name: 'Default', privileges: { ...ALL_PRIVILEGES } } },
    ],
    person,
  );
  return { applicationId, apiKey };
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
    /** Canonical CIDRs; none: it may be used from everywhere. */
    allowedAddresses?: readonly string[];
    /** Account id of its maker. */
    createdBy?: string;
  },
): { keyId: string; apiKey: string } {
  const made = newApiKey(key.environment);
  insertApiKey(sql, made, {
    applicationId: key.applicationId,
    name: key.name,
    privileges: key.privileges ?? ALL_PRIVILEGES,
    expiresAt: key.expiresAt ?? null,
    allowedAddresses: key.allowedAddresses ?? [],
    createdBy: key.createdBy ?? null,
  });
  return { keyId: made.keyId, apiKey: made.text };
}

/**
 * Makes a verification workflow with its first version and returns its id; a default one takes the place of the kind's
 * earlier default. Without more it is published, with the steps that are usual for its kind. `createdBy` is the id of an
 * API key. The kind is not compared with the steps here: routes derive it from them.
 */
export function createVerificationWorkflow(
  sql: Transaction,
  workflow: {
    applicationId: string;
    label: string;
    kind: SessionKind;
    isDefault?: boolean;
    published?: boolean;
    features?: readonly FeatureStep[];
    settings?: Partial<WorkflowSettings>;
    createdBy?: string;
  },
): string {
  const workflowId = newId();
  insertWorkflow(sql, {
    workflowId,
    applicationId: workflow.applicationId,
    label: workflow.label,
    kind: workflow.kind,
    isDefault: workflow.isDefault ?? false,
    published: workflow.published ?? true,
    features: workflow.features ?? DEFAULT_FEATURES[workflow.kind],
    settings: workflow.settings ?? {},
    createdBy: workflow.createdBy ?? null,
  });
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
    subscribedEvents: readonly SubscribableEvent[];
    label?: string | undefined;
    enabled?: boolean | undefined;
    payloadMode?: 'full' | 'thin' | undefined;
  },
): Promise<{ destinationId: string; secret: Buffer } | null> {
  const secret = newWebhookSecret();
  const destinationId = await insertDestination(sql, sealer, {
    applicationId: destination.applicationId,
    url: destination.url,
    subscribedEvents: destination.subscribedEvents,
    label: destination.label ?? new URL(destination.url).host.slice(0, 255),
    enabled: destination.enabled ?? true,
    payloadMode: destination.payloadMode ?? 'full',
    secret,
  });
  return destinationId === null ? null : { destinationId, secret };
}
