import type { JsonObject } from '../json.ts';
import type { SessionStatus } from '../session-status.ts';
import { isTroubled, warningsOf, type CheckOrder } from './check-parts.ts';
import { SANDBOX_IMAGES } from './images.ts';
import type { InventedCompany, InventedPerson } from './people.ts';

/** An officer or owner of an invented company, and that person's own session. */
export interface Party {
  readonly person: InventedPerson;
  readonly role: 'director' | 'secretary';
  /** Share of the company in percent; null for somebody who owns none of it. */
  readonly owns: number | null;
  /** Null when the person has not begun. */
  readonly session: { readonly sessionId: string; readonly status: SessionStatus } | null;
}

/** A company's check: like a person's, about the company. */
export interface CompanyCheckOrder extends CheckOrder {
  readonly company: InventedCompany;
  readonly parties: readonly Party[];
}

/** An item of `registry_checks` (contract/feature-objects.md 6.13). */
export function registryCheck({ dice, company, parties, status, at }: CompanyCheckOrder): JsonObject {
  const node = 'feature_kyb_registry_1';
  const { country } = company;
  const address = { type: 'registered', address: company.address, country: country.alpha2 };
  return {
    status,
    node_id: node,
    data_resolved: true,
    company: {
      uuid: dice.uuid(),
      node_id: node,
      status,
      registry_status: isTroubled(status) ? 'dissolved' : 'active',
      data_resolved: true,
      company_name: company.name,
      registration_number: company.registrationNumber,
      country_code: country.alpha2,
      region: country.region,
      company_type: 'Private Limited Company',
      incorporation_date: company.incorporatedOn,
      registered_address: company.address,
      tax_number: null,
      risk_level: isTroubled(status) ? 'HIGH' : 'LOW',
      verification_status: isTroubled(status) ? 'unverified' : 'verified',
      is_from_registry: true,
      fetch_status: 'resolved',
      nature_of_business: 'Software for sandboxes',
      registered_capital: '1000 GBP',
      registered_capital_amount: '1000.00',
      registered_capital_currency: 'GBP',
      website: company.website,
      email: company.email,
      phone: country.phonePrefix + country.phone + dice.digits(country.phoneDigits),
      vat_validation_status: 'not_applicable',
      officers: parties.map((party) => ({
        ...named(party.person, dice.uuid()),
        designation: party.role === 'director' ? 'Director' : 'Company Secretary',
        role: party.role,
        nationality: party.person.country.demonym,
        is_active: true,
        kyc_status: kycWord(party),
        kyc_session_url: null,
        address: party.person.address,
        appointment_date: company.incorporatedOn,
        termination_date: null,
      })),
      beneficial_owners: parties.flatMap((party) =>
        party.owns === null ? [] : [{ ...owner(party, dice.uuid()), kyc_status: kycWord(party) }],
      ),
      addresses: [address],
      industries: [{ code: '62012', description: 'Business and domestic software development' }],
      accounts: null,
      registry_data: { addresses_detail: [address] },
      user_provided_data: { company_name: company.name, registration_number: company.registrationNumber },
      confirmed_by_user_at: at.toISOString(),
      last_console_edit_at: null,
      is_editable: false,
    },
    ownership_structure: {
      nodes: [
        { id: 'company', name: company.name, type: 'company' },
        ...parties.map(({ person }, index) => ({ id: `person_${index + 1}`, name: person.fullName, type: 'person' })),
      ],
    },
    warnings: warningsOf(status, node, {
      feature: 'KYB_REGISTRY',
      risk: 'COMPANY_NOT_ACTIVE',
      sentence: 'The register says that the company is dissolved.',
    }),
  };
}

/** An item of `document_verifications` (6.15). */
export function companyDocuments({ dice, company, status, at }: CompanyCheckOrder): JsonObject {
  const node = 'feature_kyb_documents_1';
  const count = { total: 1, approved: 0, pending: 0, declined: 0, in_review: 0, other: 0, missing: 0 };
  const document = (group: string, subtype: string, itemStatus: string): JsonObject => ({
    uuid: dice.uuid(),
    document_type: group,
    document_subtype: subtype,
    document_group: group,
    file_url: SANDBOX_IMAGES.paper,
    original_filename: 'sandbox.png',
    file_size: 110,
    status: itemStatus,
    created_at: at.toISOString(),
    cross_check_result: null,
    document_metadata: null,
    description: null,
    is_requested: false,
    ocr_data: { company_name: company.name, registration_number: company.registrationNumber },
    is_console_upload: false,
    is_confirmed: true,
  });
  const ownership = status === 'Approved' ? 'approved' : status === 'Declined' ? 'declined' : 'in_review';
  return {
    status,
    node_id: node,
    items: [
      document('LEGAL_PRESENCE', 'CERTIFICATE_OF_INCORPORATION', 'Approved'),
      document('OWNERSHIP_STRUCTURE', 'REGISTER_OF_SHAREHOLDERS', status),
    ],
    groups: {
      LEGAL_PRESENCE: { ...count, approved: 1 },
      OWNERSHIP_STRUCTURE: { ...count, [ownership]: 1 },
    },
    required_groups: ['LEGAL_PRESENCE', 'OWNERSHIP_STRUCTURE'],
    warnings: warningsOf(status, node, {
      feature: 'KYB_DOCUMENTS',
      risk: 'DATA_INCONSISTENT',
      sentence: 'The documents and the register disagree.',
    }),
  };
}

/** An item of `key_people_checks` (6.14). */
export function keyPeopleCheck({ dice, company, parties, status, at }: CompanyCheckOrder): JsonObject {
  const node = 'feature_kyb_key_people_1';
  const finished = parties.filter(({ session }) => session !== null);
  const approved = finished.filter(({ session }) => session?.status === 'Approved').length;
  const verified = ({ person, session }: Party): JsonObject => ({
    aml_status: session === null ? null : 'Approved',
    kyc_status: session?.status ?? 'Not Started',
    kyc_session_url: null,
    kyc_session_id: session?.sessionId ?? null,
    verification_workflow_type: 'kyc',
    kyc_document_type: session === null ? null : person.documentType === 'Passport' ? 'P' : 'ID',
    kyc_nationality: session === null ? null : person.country.alpha3,
    kyc_liveness_passed: session === null ? null : true,
    kyc_verified_at: session === null ? null : at.toISOString(),
  });
  return {
    status,
    node_id: node,
    registry: {
      officers: parties.map((party) => ({
        ...named(party.person, dice.uuid()),
        designation: party.role === 'director' ? 'Director' : 'Company Secretary',
        role: party.role,
        nationality: party.person.country.demonym,
        appointment_date: company.incorporatedOn,
        termination_date: null,
        is_active: true,
        address: party.person.address,
        ...verified(party),
      })),
      beneficial_owners: parties.flatMap((party) =>
        party.owns === null ? [] : [{ ...owner(party, dice.uuid()), ...verified(party), child_beneficial_owners: [] }],
      ),
    },
    submitted: { parties: [] },
    ubo_kyc_summary: {
      total: parties.length,
      approved,
      flagged: finished.length - approved,
      pending: parties.length - finished.length,
    },
    warnings: warningsOf(status, node, {
      feature: 'KYB_KEY_PEOPLE',
      risk: 'KEY_PERSON_NOT_VERIFIED',
      sentence: 'One of the people is not verified.',
    }),
  };
}

function named(person: InventedPerson, uuid: string): JsonObject {
  return {
    uuid,
    name: person.fullName,
    first_name: person.firstName,
    last_name: person.lastName,
    date_of_birth: person.birthDay,
  };
}

function owner({ person, owns }: Party, uuid: string): JsonObject {
  const share = String(owns ?? 0);
  return {
    ...named(person, uuid),
    entity_type: 'person',
    roles: ['ubo'],
    ownership_min_shares: share,
    ownership_max_shares: share,
    effective_ownership_percent: owns,
    voting_min_shares: share,
    voting_max_shares: share,
    is_active: true,
    company_name: null,
    registration_number: null,
    country_of_birth: null,
    email: person.email,
    nationality: person.country.demonym,
    designation: null,
    appointment_date: null,
    kyc_session_url: null,
  };
}

/** What a register's record says of a person's verification. */
function kycWord({ session }: Party): string {
  return session?.status === 'Approved' || session?.status === 'Declined' ? session.status : 'Pending';
}
