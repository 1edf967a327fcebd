import type { JsonObject } from '../json.ts';
import { isTroubled, scoreOf, warningsOf, type CheckOrder } from './check-parts.ts';

/** An item of `phone_verifications` (contract/feature-objects.md 6.7). */
export function phoneVerification({ person, status, at }: CheckOrder): JsonObject {
  const node = 'feature_phone_1';
  const { country } = person;
  return {
    node_id: node,
    status,
    phone_number_prefix: country.phonePrefix,
    phone_number: person.phone,
    full_number: country.phonePrefix + person.phone,
    country_code: country.alpha2,
    country_name: country.name,
    carrier: { name: 'Sandbox Mobile', type: 'mobile' },
    is_disposable: isTroubled(status),
    is_virtual: false,
    verification_method: 'sms',
    verification_attempts: 1,
    verified_at: at.toISOString(),
    lifecycle: [messageSent('PHONE_VERIFICATION_MESSAGE_SENT', at)],
    warnings: warningsOf(status, node, {
      feature: 'PHONE',
      risk: 'DISPOSABLE_NUMBER_DETECTED',
      sentence: 'The number is a disposable one.',
    }),
    matches: [],
  };
}

/** An item of `email_verifications` (6.8). */
export function emailVerification({ person, status, at }: CheckOrder): JsonObject {
  const node = 'feature_email_1';
  return {
    node_id: node,
    status,
    email: person.email,
    is_breached: isTroubled(status),
    breaches: [],
    is_disposable: false,
    is_undeliverable: false,
    verification_attempts: 1,
    verified_at: at.toISOString(),
    warnings: warningsOf(status, node, {
      feature: 'EMAIL',
      risk: 'BREACHED_EMAIL_DETECTED',
      sentence: 'The address was part of a data breach.',
    }),
    lifecycle: [messageSent('EMAIL_VERIFICATION_MESSAGE_SENT', at)],
    matches: [],
  };
}

/** An item of `ip_analyses` (6.10). */
export function ipAnalysis({ dice, person, status }: CheckOrder): JsonObject {
  const node = 'feature_ip_1';
  const { country } = person;
  const where = { location: { ...country.position } };
  return {
    node_id: node,
    status,
    device_brand: 'Sandbox',
    device_model: 'Testphone',
    browser_family: 'Sandbox Browser',
    os_family: dice.pick(['Android', 'iOS']),
    platform: 'mobile',
    device_fingerprint: null,
    ip_country: country.name,
    ip_country_code: country.alpha2,
    ip_state: country.region,
    ip_city: country.city,
    ...country.position,
    ip_address: `203.0.113.${1 + dice.below(254)}`,
    isp: null,
    organization: null,
    is_vpn_or_tor: isTroubled(status),
    is_data_center: false,
    time_zone: country.timeZone,
    time_zone_offset: country.timeZoneOffset,
    ip: { ...where, distance_from_id_document: 12.5, distance_from_poa_document: null },
    id_document: { ...where, distance_from_ip: 12.5, distance_from_poa_document: null },
    poa_document: { location: null, distance_from_ip: null, distance_from_id_document: null },
    warnings: warningsOf(status, node, {
      feature: 'LOCATION',
      risk: 'PRIVATE_NETWORK_DETECTED',
      sentence: 'The address belongs to a private network.',
    }),
    matches: [],
  };
}

/** An item of `database_validations` (6.5). */
export function databaseValidation({ person, status }: CheckOrder): JsonObject {
  const node = 'feature_db_validation_1';
  const matched = !isTroubled(status);
  const match = matched ? 'full_match' : status === 'Declined' ? 'no_match' : 'partial_match';
  return {
    node_id: node,
    issuing_state: person.country.alpha3,
    validation_type: 'one_by_one',
    screened_data: {
      first_name: person.firstName,
      last_name: person.lastName,
      personal_number: person.personalNumber,
      document_number: person.documentNumber,
      date_of_birth: person.birthDay,
    },
    validations: [
      {
        service_id: 'sandbox_register',
        service_name: 'Sandbox register',
        validation: { full_name: match, date_of_birth: 'full_match', identification_number: match },
        outcome_code: matched ? 'MATCH' : status === 'Declined' ? 'NO_MATCH' : 'PARTIAL_MATCH',
        outcome_detail: null,
        source_data: {},
      },
    ],
    errors: [],
    match_type: match,
    status,
    warnings: warningsOf(status, node, {
      feature: 'DATABASE_VALIDATION',
      risk: 'DATABASE_VALIDATION_NO_MATCH',
      sentence: 'The register knows other data.',
    }),
  };
}

/** Whom a screening is about. */
export interface Screened {
  readonly entityType: 'person' | 'company';
  readonly name: string;
  readonly nationality: string;
  /** A company's is the day of its incorporation. */
  readonly birthDay: string;
  readonly documentNumber: string;
}

/** An item of `aml_screenings` (6.4). */
export function amlScreening({ dice, status, at }: CheckOrder, screened: Screened): JsonObject {
  const node = 'feature_aml_1';
  const troubled = isTroubled(status);
  const hit = {
    id: `sandbox-${dice.digits(8)}`,
    url: `https://lists.example/entries/${dice.digits(6)}`,
    match: status === 'Declined',
    target: null,
    caption: screened.name,
    datasets: [status === 'Declined' ? 'Sanctions' : 'PEP'],
    features: null,
    rca_name: '',
    first_seen: '2025-01-18T00:00:00',
    last_seen: '2026-06-13T00:00:00',
    match_score: 100 - scoreOf(status, dice),
    risk_score: 100 - scoreOf(status, dice),
    review_status: status === 'Declined' ? 'Confirmed Match' : 'Unreviewed',
    properties: { name: [screened.name], notes: ['Invented entry of an invented list.'] },
    pep_matches: [],
    linked_entities: [],
    warning_matches: [],
    sanction_matches: [],
    adverse_media_details: {},
    adverse_media_matches: [],
    additional_information: {},
  };
  return {
    node_id: node,
    status,
    total_hits: troubled ? 1 : 0,
    entity_type: screened.entityType,
    hits: troubled ? [hit] : [],
    score: troubled ? hit.risk_score : 0,
    screened_data: {
      full_name: screened.name,
      nationality: screened.nationality,
      date_of_birth: screened.birthDay,
      document_number: screened.documentNumber,
    },
    is_ongoing_monitoring_enabled: false,
    next_ongoing_monitoring_bill_date: null,
    last_ongoing_screening_at: at.toISOString(),
    last_ongoing_screening_datasets_updated_at: null,
    warnings: warningsOf(status, node, {
      feature: 'AML',
      risk: 'POSSIBLE_MATCH_FOUND',
      sentence: 'A list has an entry of this name.',
    }),
  };
}

/** An item of `questionnaire_responses` (6.11). */
export function questionnaire({ dice, status, at }: CheckOrder): JsonObject {
  const choices = [
    { label: 'Payments', value: 'payments' },
    { label: 'Savings', value: 'savings' },
  ];
  return {
    node_id: 'feature_questionnaire_1',
    questionnaire_id: dice.uuid(),
    title: 'About the account',
    description: 'Sandbox questions',
    languages: ['en'],
    default_language: 'en',
    is_active: true,
    is_simple_questionnaire: true,
    questionnaire_group_id: null,
    version: 1,
    published_at: at.toISOString(),
    sections: [
      {
        title: null,
        description: null,
        items: [
          {
            uuid: dice.uuid(),
            value: 'question_1',
            element_type: 'DROPDOWN',
            is_required: true,
            title: 'What will it be used for?',
            description: null,
            placeholder: null,
            choices,
            max_files: null,
            answer: { value: dice.pick(['payments', 'savings']), text: null, files: null },
            required_if: null,
            repeatable_config: null,
          },
        ],
      },
    ],
    status,
  };
}

function messageSent(type: string, at: Date): JsonObject {
  return { type, timestamp: at.toISOString(), details: { status: 'Success', reason: null }, fee: 0 };
}
