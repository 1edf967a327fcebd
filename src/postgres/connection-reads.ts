import type { Acceptance, VendorDataRule } from '../domain/onboarding.ts';
import type { ConnectionSide, Environment, PayloadSealer } from '../sharing/ports.ts';
import { signerContext } from './connections.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** One side's signature, as it is shown; dates are `YYYY-MM-DD`, the time is ISO 8601. */
export interface AgreementRow {
  readonly reference: string;
  readonly document_sha256: string;
  readonly legal_basis: string;
  readonly purpose: string;
  readonly signer: string;
  readonly signed_on: string;
  readonly valid_until: string | null;
  readonly recorded_at: string;
}

/** A connection with the latest signature of each side; times are ISO 8601. */
export interface ConnectionRow {
  readonly connectionId: string;
  readonly issuerId: string;
  readonly partnerId: string;
  readonly environment: Environment;
  readonly status: 'proposed' | 'active';
  readonly acceptance: Acceptance;
  readonly trustReview: boolean;
  readonly userWorkflowId: string | null;
  readonly businessWorkflowId: string | null;
  readonly vendorDataRule: VendorDataRule;
  readonly suspendedByIssuerAt: string | null;
  readonly suspendedByPartnerAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly issuerAgreement: AgreementRow | null;
  readonly partnerAgreement: AgreementRow | null;
}

/** As it is stored, its signer sealed, in base64. */
interface StoredAgreement extends AgreementRow {
  readonly agreement_id: string;
  readonly application_id: string;
}

type StoredConnection = Omit<ConnectionRow, 'issuerAgreement' | 'partnerAgreement'> & {
  readonly issuerAgreement: StoredAgreement | null;
  readonly partnerAgreement: StoredAgreement | null;
};

const latestAgreement = (side: ConnectionSide): string => `(
    select json_build_object('agreement_id', a.agreement_id, 'application_id', a.application_id, 'reference', a.reference, 'document_sha256', a.document_sha256,
      'legal_basis', a.legal_basis, 'purpose', a.purpose, 'signer', encode(a.signer, 'base64'), 'signed_on', a.signed_on,
      'valid_until', a.valid_until, 'recorded_at', ${isoColumn('a.recorded_at')})
    from connection_agreement a where a.connection_id = c.connection_id and a.application_id = c.${side}_id
    order by a.recorded_at desc, a.agreement_id desc limit 1)`;

const CONNECTION = `select c.connection_id as "connectionId", c.issuer_id as "issuerId", c.partner_id as "partnerId",
    c.environment, c.status, c.acceptance, c.trust_review as "trustReview", c.user_workflow_id as "userWorkflowId",
    c.business_workflow_id as "businessWorkflowId", c.vendor_data_rule as "vendorDataRule",
    ${isoColumn('c.suspended_by_issuer_at')} as "suspendedByIssuerAt",
    ${isoColumn('c.suspended_by_partner_at')} as "suspendedByPartnerAt",
    ${isoColumn('c.created_at')} as "createdAt", ${isoColumn('c.updated_at')} as "updatedAt",
    ${latestAgreement('issuer')} as "issuerAgreement", ${latestAgreement('partner')} as "partnerAgreement"
  from connection c`;

/** One connection, for its issuer or its partner; null for everybody else. */
export async function readConnection(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  connectionId: string,
): Promise<ConnectionRow | null> {
  const [row] = await tx.query<StoredConnection>(
    `${CONNECTION} where c.connection_id = $1 and $2 in (c.issuer_id, c.partner_id)`,
    [connectionId, applicationId],
  );
  return row === undefined ? null : opened(sealer, row);
}

const MINE = `where ((c.issuer_id = $1 and ($2::text is null or $2 = 'issuer'))
    or (c.partner_id = $1 and ($2::text is null or $2 = 'partner'))) and ($3::text is null or c.status = $3)`;

/** A page of an application's connections, newest first, and how many there are. */
export async function listConnections(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  filter: { readonly role?: ConnectionSide | undefined; readonly status?: 'proposed' | 'active' | undefined },
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: ConnectionRow[] }> {
  const values = [applicationId, filter.role ?? null, filter.status ?? null];
  const [rows, [total]] = await Promise.all([
    tx.query<StoredConnection>(`${CONNECTION} ${MINE} order by c.connection_id desc limit $4 offset $5`, [
      ...values,
      page.limit,
      page.offset,
    ]),
    tx.query<{ count: number }>(`select count(*)::float8 as count from connection c ${MINE}`, values),
  ]);
  return { count: total?.count ?? 0, rows: rows.map((row) => opened(sealer, row)) };
}

function opened(sealer: PayloadSealer, row: StoredConnection): ConnectionRow {
  const open = (stored: StoredAgreement | null): AgreementRow | null => {
    if (stored === null) return null;
    const { agreement_id: agreementId, application_id: applicationId, signer: sealed, ...agreement } = stored;
    const signer = sealer.openPayload(signerContext(applicationId, agreementId), Buffer.from(sealed, 'base64'));
    if (typeof signer !== 'string') throw new Error('a signer is stored as text');
    return { ...agreement, signer };
  };
  return { ...row, issuerAgreement: open(row.issuerAgreement), partnerAgreement: open(row.partnerAgreement) };
}
