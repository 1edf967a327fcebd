import type { FastifyRequest } from 'fastify';
import { Refusal } from '../domain/failures.ts';
import { readApplication, type ApplicationRow } from '../postgres/organizations.ts';
import type { Transaction } from '../postgres/tenants.ts';
import { accountOf } from './auth.ts';
import { pathId } from './requests.ts';

/**
 * The organization in the path, which must be the account's own.
 *
 * @throws {Refusal} `not_found` (contract row 5)
 */
export function ownOrganization(request: FastifyRequest): string {
  const organizationId = pathId(request, 'organization_id', 'not_found');
  if (accountOf(request).organizationId !== organizationId) throw new Refusal('not_found');
  return organizationId;
}

/** The organization and the application in the path, of which the first is the account's own. */
export function ownApplicationIds(request: FastifyRequest): { organizationId: string; applicationId: string } {
  return {
    organizationId: ownOrganization(request),
    applicationId: pathId(request, 'application_id', 'not_found'),
  };
}

/** @throws {Refusal} `not_found` unless the application is the organization's and is not deleted */
export async function livingApplication(
  sql: Transaction,
  { organizationId, applicationId }: { readonly organizationId: string; readonly applicationId: string },
): Promise<ApplicationRow> {
  const row = await readApplication(sql, organizationId, applicationId);
  if (row === null) throw new Refusal('not_found');
  return row;
}
