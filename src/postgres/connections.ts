import type { ConnectionStore, Environment, PayloadSealer, SealContext } from '../sharing/ports.ts';
import type { Transaction } from './tenants.ts';
import { findVerificationWorkflow } from './verification-workflows.ts';

/** SQL of connections and their agreements, for the verbs. */
export function connectionStore(tx: Transaction, sealer: PayloadSealer): ConnectionStore {
  return {
    applications: async (issuerId, partnerId) => {
      const rows = await tx.query<{ id: string; environment: Environment; deleted: boolean }>(
        `select application_id as id, environment, deleted_at is not null as deleted from application
         where application_id in ($1, $2)`,
        [issuerId, partnerId],
      );
      return {
        issuer: rows.find(({ id }) => id === issuerId) ?? null,
        partner: rows.find(({ id }) => id === partnerId) ?? null,
      };
    },
    insert: async (row) => {
      const rows = await tx.query(
        `insert into connection (connection_id, issuer_id, partner_id, environment) values ($1, $2, $3, $4)
         on conflict (issuer_id, partner_id) do nothing returning connection_id`,
        [row.connectionId, row.issuerId, row.partnerId, row.environment],
      );
      return rows.length === 1;
    },
    lock: async (connectionId) => {
      const [row] = await tx.query<{ issuerId: string; partnerId: string }>(
        `select issuer_id as "issuerId", partner_id as "partnerId" from connection where connection_id = $1 for update`,
        [connectionId],
      );
      return row ?? null;
    },
    findWorkflow: (applicationId, id) => findVerificationWorkflow(tx, applicationId, id),
    setTerms: (connectionId, { status, acceptance, trustReview, defaultWorkflows, vendorDataRule }) =>
      tx.send(
        `update connection set status = coalesce($2, status), acceptance = coalesce($3, acceptance),
           trust_review = coalesce($4, trust_review), vendor_data_rule = coalesce($5, vendor_data_rule),
           user_workflow_id = case when $6 then $7 else user_workflow_id end,
           business_workflow_id = case when $8 then $9 else business_workflow_id end, updated_at = handoff_now()
         where connection_id = $1`,
        [
          connectionId,
          status ?? null,
          acceptance ?? null,
          trustReview ?? null,
          vendorDataRule ?? null,
          defaultWorkflows?.user !== undefined,
          defaultWorkflows?.user ?? null,
          defaultWorkflows?.business !== undefined,
          defaultWorkflows?.business ?? null,
        ],
      ),
    setSuspended: (connectionId, side, suspended) => {
      const column = `suspended_by_${side}_at`;
      tx.send(
        `update connection set ${column} = case when $2 then coalesce(${column}, handoff_now()) end,
           updated_at = handoff_now() where connection_id = $1`,
        [connectionId, suspended],
      );
    },
    addAgreement: (agreementId, connectionId, applicationId, signature) =>
      tx.send(
        `insert into connection_agreement (agreement_id, connection_id, application_id, reference, document_sha256,
           legal_basis, purpose, signer, signed_on, valid_until)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
        [
          agreementId,
          connectionId,
          applicationId,
          signature.reference,
          signature.documentSha256,
          signature.legalBasis,
          signature.purpose,
          sealer.sealPayload(signerContext(applicationId, agreementId), signature.signer),
          signature.signedOn,
          signature.validUntil,
        ],
      ),
  };
}

/** What the name of who signed for an application is bound to. */
export function signerContext(applicationId: string, agreementId: string): SealContext {
  return { applicationId, sessionId: agreementId, category: 'agreement_signer', position: 0 };
}
