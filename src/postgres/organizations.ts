import type { Environment } from '../sharing/ports.ts';
import type { ApplicationDetails } from './applications.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** An organization. `createdAt` is ISO 8601. */
export interface OrganizationRow {
  readonly organizationId: string;
  readonly name: string;
  readonly createdAt: string;
}

/** An application, as its organization sees it. `createdAt` is ISO 8601. */
export interface ApplicationRow {
  readonly applicationId: string;
  readonly name: string;
  readonly environment: Environment;
  readonly clientId: string | null;
  readonly websiteUrl: string | null;
  readonly redirectUris: readonly string[];
  readonly termsUrl: string | null;
  readonly privacyUrl: string | null;
  readonly description: string | null;
  readonly createdAt: string;
}

const ORGANIZATION = `organization_id as "organizationId", name, ${isoColumn('created_at')} as "createdAt"`;
const APPLICATION = `application_id as "applicationId", name, environment, client_id as "clientId",
  website_url as "websiteUrl", redirect_uris as "redirectUris", terms_url as "termsUrl", privacy_url as "privacyUrl",
  description, ${isoColumn('created_at')} as "createdAt"`;

/** Writes a new organization. */
export function insertOrganization(tx: Transaction, organizationId: string, name: string): void {
  tx.send('insert into organization (organization_id, name) values ($1, $2)', [organizationId, name]);
}

/** One organization. */
export async function readOrganization(tx: Transaction, organizationId: string): Promise<OrganizationRow | null> {
  const [row] = await tx.query<OrganizationRow>(`select ${ORGANIZATION} from organization where organization_id = $1`, [
    organizationId,
  ]);
  return row ?? null;
}

/** The same, locked until the transaction ends. */
export async function lockOrganization(tx: Transaction, organizationId: string): Promise<OrganizationRow | null> {
  const [row] = await tx.query<OrganizationRow>(
    `select ${ORGANIZATION} from organization where organization_id = $1 for no key update`,
    [organizationId],
  );
  return row ?? null;
}

/** Renames an organization; without a name it stays as it is. */
export async function changeOrganization(
  tx: Transaction,
  organizationId: string,
  name: string | undefined,
): Promise<OrganizationRow | null> {
  const [row] = await tx.query<OrganizationRow>(
    `update organization set name = coalesce($2, name), updated_at = handoff_now() where organization_id = $1
     returning ${ORGANIZATION}`,
    [organizationId, name ?? null],
  );
  return row ?? null;
}

/** An organization's applications, oldest first, without deleted ones, and how many there are. */
export async function listApplications(
  tx: Transaction,
  organizationId: string,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: ApplicationRow[] }> {
  const [[counted], rows] = await Promise.all([
    tx.query<{ count: number }>(
      'select count(*)::int as count from application where organization_id = $1 and deleted_at is null',
      [organizationId],
    ),
    tx.query<ApplicationRow>(
      `select ${APPLICATION} from application where organization_id = $1 and deleted_at is null
       order by application_id limit $2 offset $3`,
      [organizationId, page.limit, page.offset],
    ),
  ]);
  return { count: counted?.count ?? 0, rows };
}

/** One application of an organization, unless it is deleted. */
export async function readApplication(
  tx: Transaction,
  organizationId: string,
  applicationId: string,
): Promise<ApplicationRow | null> {
  const [row] = await tx.query<ApplicationRow>(
    `select ${APPLICATION} from application
     where application_id = $2 and organization_id = $1 and deleted_at is null`,
    [organizationId, applicationId],
  );
  return row ?? null;
}

/** The same, locked until the transaction ends. */
export async function lockApplication(
  tx: Transaction,
  organizationId: string,
  applicationId: string,
): Promise<ApplicationRow | null> {
  const [row] = await tx.query<ApplicationRow>(
    `select ${APPLICATION} from application
     where application_id = $2 and organization_id = $1 and deleted_at is null for no key update`,
    [organizationId, applicationId],
  );
  return row ?? null;
}

/** An application of an organization, deleted or not, as far as its keys depend on it. */
export async function readKeyHolder(
  tx: Transaction,
  organizationId: string,
  applicationId: string,
): Promise<{ readonly environment: Environment; readonly deleted: boolean } | null> {
  const [row] = await tx.query<{ environment: Environment; deleted: boolean }>(
    `select environment, deleted_at is not null as deleted from application
     where application_id = $2 and organization_id = $1`,
    [organizationId, applicationId],
  );
  return row ?? null;
}

/** Changes an application of an organization; an absent member stays as it is. */
export async function changeApplication(
  tx: Transaction,
  organizationId: string,
  applicationId: string,
  change: ApplicationDetails & { readonly name?: string | undefined; readonly environment?: Environment | undefined },
): Promise<ApplicationRow | null> {
  const given = (value: unknown) => value !== undefined;
  const { name, environment, websiteUrl, redirectUris, termsUrl, privacyUrl, description } = change;
  const [row] = await tx.query<ApplicationRow>(
    `update application set name = coalesce($3, name), environment = coalesce($4, environment),
       redirect_uris = coalesce($5, redirect_uris),
       website_url = case when $6 then $7 else website_url end,
       terms_url = case when $8 then $9 else terms_url end,
       privacy_url = case when $10 then $11 else privacy_url end,
       description = case when $12 then $13 else description end,
       updated_at = handoff_now()
     where application_id = $2 and organization_id = $1 and deleted_at is null returning ${APPLICATION}`,
    [
      organizationId,
      applicationId,
      name ?? null,
      environment ?? null,
      redirectUris ?? null,
      given(websiteUrl),
      websiteUrl ?? null,
      given(termsUrl),
      termsUrl ?? null,
      given(privacyUrl),
      privacyUrl ?? null,
      given(description),
      description ?? null,
    ],
  );
  return row ?? null;
}

/** An application with its organization. */
export interface OwnApplication {
  readonly organizationId: string;
  readonly organizationName: string;
  readonly applicationId: string;
  readonly name: string;
  readonly clientId: string;
}

/** An application with its organization, unless it is deleted. */
export async function readOwnApplication(tx: Transaction, applicationId: string): Promise<OwnApplication | null> {
  const [row] = await tx.query<OwnApplication>(
    `select o.organization_id as "organizationId", o.name as "organizationName", a.application_id as "applicationId",
       a.name, a.client_id as "clientId"
     from application a join organization o using (organization_id)
     where a.application_id = $1 and a.deleted_at is null`,
    [applicationId],
  );
  return row ?? null;
}
