import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { openAddress } from '../../accounts/addresses.ts';
import { provisionApplication } from '../../accounts/applications.ts';
import { Refusal } from '../../domain/failures.ts';
import { PLATFORM_ID } from '../../domain/ids.ts';
import { applicationStore } from '../../postgres/application-deletion.ts';
import type { ApplicationDetails } from '../../postgres/applications.ts';
import {
  changeApplication,
  changeOrganization,
  listApplications,
  lockApplication,
  lockOrganization,
  readApplication,
  readOrganization,
  type ApplicationRow,
  type OrganizationRow,
} from '../../postgres/organizations.ts';
import type { Transaction } from '../../postgres/tenants.ts';
import { deleteApplication } from '../../sharing/delete-application.ts';
import type { HandoffTransaction } from '../../sharing/ports.ts';
import type { AppDeps } from '../app.ts';
import { accountOf, actorOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { livingApplication, ownApplicationIds, ownOrganization } from '../own-organization.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery } from '../requests.ts';
import {
  applicationContracts,
  applicationsQuery,
  changeApplicationBody,
  changeOrganizationBody,
  createApplicationBody,
  organizationContracts,
} from '../schemas/organizations.ts';

const ORGANIZATION = '/auth/v2/organizations/me/:organization_id/';
const APPLICATIONS = `${ORGANIZATION}applications/`;
const APPLICATION = `${APPLICATIONS}:application_id/`;

/** Organizations of people and their applications: Didit's routes (contract/didit-api.md 3.4). */
export function organizationRoutes(app: FastifyInstance, { tenants }: AppDeps): void {
  /** The account's organization, as the work leaves it. */
  async function organization(
    request: FastifyRequest,
    organizationId: string,
    name: string | undefined,
  ): Promise<object> {
    return tenants.acrossTenants('account', async (tx, sql) => {
      const row = name === undefined ? await readOrganization(sql, organizationId) : await rename(tx, sql, name);
      if (row === null) throw new Refusal('not_found');
      return organizationBody(tx, request, row);
    });

    async function rename(tx: HandoffTransaction, sql: Transaction, newName: string): Promise<OrganizationRow | null> {
      const [before, after] = await Promise.all([
        lockOrganization(sql, organizationId),
        changeOrganization(sql, organizationId, newName),
      ]);
      if (before === null || after === null) return null;
      const change = { type: 'organization.changed', applicationId: PLATFORM_ID, subjectId: organizationId } as const;
      const states = { before: { name: before.name }, after: { name: after.name } };
      tx.events.record([{ ...change, ...states }], actorOf(request));
      return after;
    }
  }

  app.route({
    method: 'GET',
    url: '/auth/v2/organizations/me/',
    config: { needs: 'account', contract: organizationContracts.list },
    handler: async (request) => [await organization(request, accountOf(request).organizationId, undefined)],
  });

  app.route({
    method: 'GET',
    url: ORGANIZATION,
    config: { needs: 'account', contract: organizationContracts.read },
    handler: (request) => organization(request, ownOrganization(request), undefined),
  });

  app.route({
    method: 'PATCH',
    url: ORGANIZATION,
    config: { needs: 'account', contract: organizationContracts.change },
    handler: (request) => {
      const organizationId = ownOrganization(request);
      return organization(request, organizationId, parseBody(changeOrganizationBody, request).name);
    },
  });

  app.route({
    method: 'GET',
    url: APPLICATIONS,
    config: { needs: 'account', contract: applicationContracts.list },
    handler: async (request) => {
      const organizationId = ownOrganization(request);
      const page = parseQuery(applicationsQuery, request);
      const { count, rows } = await tenants.acrossTenants('account', (_tx, sql) =>
        listApplications(sql, organizationId, page),
      );
      return pageOf(request, page, { count, items: rows.map((row) => applicationBody(row)) });
    },
  });

  app.route({
    method: 'POST',
    url: APPLICATIONS,
    config: { needs: 'account', contract: applicationContracts.create },
    handler: async (request, reply) => {
      const organizationId = ownOrganization(request);
      const body = parseBody(createApplicationBody, request);
      const outcome = await tenants.acrossTenants('provision', (tx, sql) => {
        const render = (applicationId: string) => readApplication(sql, organizationId, applicationId);
        return oncePerKey<{ row: ApplicationRow; apiKey: string | null }>(request, sql, {
          run: async () => {
            const name = body.name ?? `${(await readOrganization(sql, organizationId))?.name ?? ''} App`;
            const made = provisionApplication(
              tx,
              sql,
              { name, environment: body.environment ?? 'sandbox', organizationId, details: detailsOf(body) },
              { ...actorOf(request), id: accountOf(request).accountId },
            );
            const row = await livingApplication(sql, { organizationId, applicationId: made.applicationId });
            return { status: 201, resourceId: made.applicationId, result: { row, apiKey: made.apiKey } };
          },
          replay: async (applicationId) => {
            const row = await render(applicationId);
            return row === null ? null : { row, apiKey: null };
          },
        });
      });
      answerWith(reply, outcome);
      const { row, apiKey } = outcome.result;
      return { ...applicationBody(row), api_key: apiKey, ...(apiKey === null && { secret_replayed: true }) };
    },
  });

  app.route({
    method: 'GET',
    url: APPLICATION,
    config: { needs: 'account', contract: applicationContracts.read },
    handler: async (request) => {
      const ids = ownApplicationIds(request);
      return applicationBody(
        await tenants.withTenant(ids.applicationId, (_tx, sql) => livingApplication(sql, ids), 'account'),
      );
    },
  });

  app.route({
    method: 'PATCH',
    url: APPLICATION,
    config: { needs: 'account', contract: applicationContracts.change },
    handler: async (request) => {
      const { organizationId, applicationId } = ownApplicationIds(request);
      const body = parseBody(changeApplicationBody, request);
      const change = { name: body.name, environment: body.environment, ...detailsOf(body) };
      const row = await tenants.withTenant(
        applicationId,
        async (tx, sql) => {
          const [before, after] = await Promise.all([
            lockApplication(sql, organizationId, applicationId),
            changeApplication(sql, organizationId, applicationId, change),
          ]);
          if (before === null || after === null) throw new Refusal('not_found');
          const states = { before: applicationBody(before), after: applicationBody(after) };
          tx.events.record([{ type: 'application.changed', applicationId, ...states }], actorOf(request));
          return after;
        },
        'account',
      );
      return applicationBody(row);
    },
  });

  app.route({
    method: 'DELETE',
    url: APPLICATION,
    config: { needs: 'account', contract: applicationContracts.delete },
    handler: async (request, reply) => {
      const ids = ownApplicationIds(request);
      // The other sides of its shares learn no person.
      const actor = { ...actorOf(request), applicationId: ids.applicationId };
      await tenants.withTenant(
        ids.applicationId,
        (tx, sql) => deleteApplication(tx, applicationStore(sql), ids, actor),
        'delete_application',
      );
      return reply.code(204).send();
    },
  });
}

function organizationBody(tx: HandoffTransaction, request: FastifyRequest, row: OrganizationRow) {
  const { accountId, email } = accountOf(request);
  return {
    uuid: row.organizationId,
    name: row.name,
    contact_email: openAddress(tx, accountId, email),
    created_at: row.createdAt,
  };
}

function detailsOf(body: z.output<typeof createApplicationBody>): ApplicationDetails {
  return {
    websiteUrl: body.website_url,
    redirectUris: body.redirect_uris,
    termsUrl: body.terms_url,
    privacyUrl: body.privacy_url,
    description: body.description,
  };
}

function applicationBody(row: ApplicationRow) {
  return {
    uuid: row.applicationId,
    name: row.name,
    environment: row.environment,
    client_id: row.clientId,
    api_key: null,
    website_url: row.websiteUrl,
    redirect_uris: [...row.redirectUris],
    terms_url: row.termsUrl,
    privacy_url: row.privacyUrl,
    description: row.description,
    created_at: row.createdAt,
  };
}
