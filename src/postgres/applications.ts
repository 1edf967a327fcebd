import type { Environment } from '../sharing/ports.ts';
import type { Transaction } from './tenants.ts';

/** What an application tells of itself besides its name; an absent member stays as it is. */
export interface ApplicationDetails {
  readonly websiteUrl?: string | null | undefined;
  readonly redirectUris?: readonly string[] | undefined;
  readonly termsUrl?: string | null | undefined;
  readonly privacyUrl?: string | null | undefined;
  readonly description?: string | null | undefined;
}

/** Writes a new application. */
export function insertApplication(
  tx: Transaction,
  row: {
    applicationId: string;
    name: string;
    environment: Environment;
    organizationId: string | null;
    clientId: string;
    details: ApplicationDetails;
  },
): void {
  const { details } = row;
  tx.send(
    `insert into application (application_id, name, environment, organization_id, client_id, website_url, redirect_uris,
       terms_url, privacy_url, description)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      row.applicationId,
      row.name,
      row.environment,
      row.organizationId,
      row.clientId,
      details.websiteUrl ?? null,
      details.redirectUris ?? [],
      details.termsUrl ?? null,
      details.privacyUrl ?? null,
      details.description ?? null,
    ],
  );
}
