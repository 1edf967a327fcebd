import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { Refusal } from '../../domain/failures.ts';
import { listConnections, readConnection, type ConnectionRow } from '../../postgres/connection-reads.ts';
import { connectionStore } from '../../postgres/connections.ts';
import { changeConnection, proposeConnection } from '../../sharing/connect.ts';
import type { AgreementSignature } from '../../sharing/ports.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { connectionChanges } from '../connection-changes.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery, pathId } from '../requests.ts';
import { changeBody, connectionContracts, connectionsQuery, proposeBody } from '../schemas/connections.ts';

/** Connections: the standing, one-way arrangements between an issuer and a partner. */
export function connectionRoutes(app: FastifyInstance, { tenants }: AppDeps): void {
  const reads = { resource: 'connections', access: 'read' } as const;
  const writes = { resource: 'connections', access: 'write' } as const;

  app.route({
    method: 'POST',
    url: '/v1/connections/',
    config: { needs: writes, contract: connectionContracts.propose },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const body = parseBody(proposeBody, request);
      const outcome = await tenants.withTenant(
        applicationId,
        (tx, sql) => {
          const render = (connectionId: string) => readConnection(sql, tx.sealer, applicationId, connectionId);
          return oncePerKey<ConnectionRow>(request, sql, {
            run: async () => {
              const connectionId = await proposeConnection(connectionStore(sql, tx.sealer), () => tx.newId(), {
                issuerId: applicationId,
                partnerId: body.partner_application_id,
                agreement: signatureOf(body.agreement),
              });
              const result = present(await render(connectionId));
              tx.events.record(connectionChanges(null, result, signatureOf(body.agreement)), actorOf(request));
              return { status: 201, resourceId: connectionId, result };
            },
            replay: render,
          });
        },
        'connection',
      );
      answerWith(reply, outcome);
      return connectionBody(outcome.result, applicationId);
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/connections/',
    config: { needs: reads, contract: connectionContracts.list },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const { limit, offset, role, status } = parseQuery(connectionsQuery, request);
      const page = { limit, offset };
      const { count, rows } = await tenants.withTenant(
        applicationId,
        (tx, sql) => listConnections(sql, tx.sealer, applicationId, { role, status }, page),
        'connection',
      );
      return pageOf(request, page, { count, items: rows.map((row) => connectionBody(row, applicationId)) });
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/connections/:connection_id/',
    config: { needs: reads, contract: connectionContracts.read },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const connectionId = pathId(request, 'connection_id', 'not_found');
      const row = await tenants.withTenant(
        applicationId,
        (tx, sql) => readConnection(sql, tx.sealer, applicationId, connectionId),
        'connection',
      );
      if (row === null) throw new Refusal('not_found');
      return connectionBody(row, applicationId);
    },
  });

  app.route({
    method: 'PATCH',
    url: '/v1/connections/:connection_id/',
    config: { needs: writes, contract: connectionContracts.change },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const connectionId = pathId(request, 'connection_id', 'not_found');
      const body = parseBody(changeBody, request);
      const change = {
        terms: {
          status: body.status,
          acceptance: body.acceptance,
          trustReview: body.trust_review,
          defaultWorkflows: body.default_workflows,
          vendorDataRule: body.vendor_data_rule,
        },
        suspended: body.suspended,
        agreement: signatureOf(body.agreement),
      };
      const row = await tenants.withTenant(
        applicationId,
        async (tx, sql) => {
          const store = connectionStore(sql, tx.sealer);
          const read = () => readConnection(sql, tx.sealer, applicationId, connectionId);
          const [, before] = await Promise.all([store.lock(connectionId), read()]);
          await changeConnection(store, () => tx.newId(), { connectionId, applicationId, change });
          const after = present(await read());
          tx.events.record(connectionChanges(before, after, change.agreement), actorOf(request));
          return after;
        },
        'connection',
      );
      return connectionBody(row, applicationId);
    },
  });
}

function signatureOf(agreement: z.output<typeof proposeBody>['agreement']): AgreementSignature | undefined {
  if (agreement === undefined) return undefined;
  return {
    reference: agreement.reference,
    documentSha256: agreement.document_sha256,
    legalBasis: agreement.legal_basis,
    purpose: agreement.purpose,
    signer: agreement.signer,
    signedOn: agreement.signed_on,
    validUntil: agreement.valid_until ?? null,
  };
}

function present(row: ConnectionRow | null): ConnectionRow {
  if (row === null) throw new Error('a connection that was written is there');
  return row;
}

/** A connection for one of its sides: which verification workflows the partner uses is the partner's own business. */
function connectionBody(row: ConnectionRow, readerId: string) {
  return {
    connection_id: row.connectionId,
    issuer_application_id: row.issuerId,
    partner_application_id: row.partnerId,
    environment: row.environment,
    status: row.status,
    suspended: row.suspendedByIssuerAt !== null || row.suspendedByPartnerAt !== null,
    suspended_by_issuer_at: row.suspendedByIssuerAt,
    suspended_by_partner_at: row.suspendedByPartnerAt,
    acceptance: row.acceptance,
    trust_review: row.trustReview,
    default_workflows:
      readerId === row.partnerId ? { user: row.userWorkflowId, business: row.businessWorkflowId } : null,
    vendor_data_rule: row.vendorDataRule,
    agreements: { issuer: row.issuerAgreement, partner: row.partnerAgreement },
    created_at: row.createdAt,
    updated_at: row.updatedAt,
  };
}
