import type { SessionKind } from '../../domain/decision-categories.ts';
import type { Acceptance, VendorDataRule } from '../../domain/onboarding.ts';
import type { Environment } from './storage.ts';

/** Which side of a connection somebody is. */
export type ConnectionSide = 'issuer' | 'partner';

/** What one side signed under the data-sharing agreement; dates are `YYYY-MM-DD`. */
export interface AgreementSignature {
  readonly reference: string;
  /** SHA-256 of the document, 64 hexadecimal digits. */
  readonly documentSha256: string;
  readonly legalBasis: string;
  readonly purpose: string;
  readonly signer: string;
  readonly signedOn: string;
  readonly validUntil: string | null;
}

/** What the partner alone sets on a connection; an absent member stays as it is. */
export interface PartnerTerms {
  readonly status?: 'active' | undefined;
  readonly acceptance?: Acceptance | undefined;
  readonly trustReview?: boolean | undefined;
  readonly defaultWorkflows?: Readonly<Partial<Record<SessionKind, string | null | undefined>>> | undefined;
  readonly vendorDataRule?: VendorDataRule | undefined;
}

export interface ConnectionStore {
  /** Both applications, as far as they exist. */
  applications(
    issuerId: string,
    partnerId: string,
  ): Promise<Readonly<Record<ConnectionSide, { readonly environment: Environment; readonly deleted: boolean } | null>>>;
  /** Resolves to whether it was written: one connection for each issuer and partner. */
  insert(row: {
    connectionId: string;
    issuerId: string;
    partnerId: string;
    environment: Environment;
  }): Promise<boolean>;
  /** Locks a connection; null when there is none. */
  lock(connectionId: string): Promise<{ readonly issuerId: string; readonly partnerId: string } | null>;
  /** An application's own published verification workflow that this id names, itself or one of its versions. */
  findWorkflow(
    applicationId: string,
    id: string,
  ): Promise<{ readonly workflowId: string; readonly kind: SessionKind } | null>;
  setTerms(connectionId: string, terms: PartnerTerms): void;
  /** Suspends or lifts one side's own suspension; a suspension in force keeps its time. */
  setSuspended(connectionId: string, side: ConnectionSide, suspended: boolean): void;
  addAgreement(agreementId: string, connectionId: string, applicationId: string, signature: AgreementSignature): void;
}
