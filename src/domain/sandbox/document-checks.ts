import type { JsonObject } from '../json.ts';
import { dayAfter, scoreOf, warningsOf, type CheckOrder } from './check-parts.ts';
import { SANDBOX_IMAGES } from './images.ts';

/** An item of `id_verifications` (contract/feature-objects.md 6.1). */
export function idVerification({ dice, person, status, at }: CheckOrder): JsonObject {
  const node = 'feature_ocr_1';
  const expired = status === 'Expired';
  const expiresIn = expired ? -1 - dice.below(300) : 400 + dice.below(2500);
  const bothSides = person.documentType !== 'Passport';
  const { country } = person;
  const quality = { ...imageQuality(dice.decimal(70, 99)) };
  return {
    node_id: node,
    status,
    verification_method: 'document',
    assurance: 'documentary',
    wallet_provider: null,
    fallback_from: null,
    id_lookup: null,
    wallet_verification: null,
    document_type: person.documentType,
    document_subtype: null,
    document_number: person.documentNumber,
    personal_number: person.personalNumber,
    portrait_image: SANDBOX_IMAGES.portrait,
    front_image: SANDBOX_IMAGES.documentFront,
    front_video: null,
    back_image: bothSides ? SANDBOX_IMAGES.documentBack : null,
    back_video: null,
    full_front_image: SANDBOX_IMAGES.documentFront,
    full_back_image: bothSides ? SANDBOX_IMAGES.documentBack : null,
    date_of_birth: person.birthDay,
    age: ageAt(person.birthDay, at),
    expiration_date: dayAfter(at, expiresIn),
    date_of_issue: dayAfter(at, expiresIn - 3650),
    issuing_state: country.alpha3,
    issuing_state_name: country.name,
    first_name: person.firstName,
    last_name: person.lastName,
    full_name: person.fullName,
    gender: person.gender,
    address: person.street,
    formatted_address: person.address,
    place_of_birth: country.city,
    marital_status: 'Unknown',
    nationality: country.alpha3,
    extra_fields: { dl_categories: [], blood_group: null },
    mrz: null,
    parsed_address: {
      street_1: person.street,
      street_2: null,
      city: country.city,
      region: country.region,
      postal_code: person.postalCode,
      country: country.alpha2,
      address_type: 'residential',
      is_verified: true,
      document_location: { ...country.position },
      formatted_address: person.address,
    },
    extra_files: [],
    front_image_quality_score: quality,
    back_image_quality_score: bothSides ? quality : null,
    document_liveness: null,
    matches: [],
    warnings: warningsOf(
      status,
      node,
      expired
        ? { feature: 'ID_VERIFICATION', risk: 'DOCUMENT_EXPIRED', sentence: 'The document has expired.' }
        : { feature: 'ID_VERIFICATION', risk: 'DATA_INCONSISTENT', sentence: 'The data on the document disagree.' },
    ),
  };
}

/** An item of `nfc_verifications` (6.9). */
export function nfcVerification({ dice, person, status, at }: CheckOrder): JsonObject {
  const node = 'feature_nfc_1';
  return {
    node_id: node,
    status,
    is_nfc_skipped: false,
    skip_reason: null,
    portrait_image: SANDBOX_IMAGES.portrait,
    signature_image: null,
    chip_data: {
      document_type: person.documentType === 'Passport' ? 'P' : 'ID',
      issuing_country: person.country.alpha3,
      document_number: person.documentNumber,
      expiration_date: dayAfter(at, 400 + dice.below(2500)),
      first_name: person.firstName,
      last_name: person.lastName,
      birth_date: person.birthDay,
      gender: person.gender,
      nationality: person.country.alpha3,
      address: person.address,
      place_of_birth: person.country.city,
    },
    authenticity: { sod_integrity: status === 'Approved', dg_integrity: true },
    certificate_summary: {
      issuer: 'Sandbox Country Signing CA',
      subject: 'Sandbox Document Signer',
      serial_number: dice.digits(12),
      not_valid_before: `${dayAfter(at, -2000)} 00:00:00`,
      not_valid_after: `${dayAfter(at, 2000)} 00:00:00`,
    },
    warnings: warningsOf(status, node, {
      feature: 'NFC',
      risk: 'DATA_INCONSISTENT',
      sentence: 'The chip and the document disagree.',
    }),
  };
}

/** An item of `liveness_checks` (6.2). */
export function livenessCheck({ dice, person, status, at }: CheckOrder): JsonObject {
  const node = 'feature_liveness_1';
  return {
    node_id: node,
    status,
    method: dice.pick(['ACTIVE_3D', 'PASSIVE']),
    score: scoreOf(status, dice),
    reference_image: SANDBOX_IMAGES.selfie,
    video_url: null,
    age_estimation: ageAt(person.birthDay, at) + dice.decimal(-3, 3, 1),
    matches: [],
    warnings: warningsOf(status, node, {
      feature: 'LIVENESS',
      risk: 'LOW_LIVENESS_SCORE',
      sentence: 'The liveness score is low.',
    }),
    face_quality: dice.decimal(70, 99),
    face_luminance: dice.decimal(40, 90),
  };
}

/** An item of `face_matches` (6.3). */
export function faceMatch({ dice, status }: CheckOrder): JsonObject {
  const node = 'feature_face_match_1';
  return {
    node_id: node,
    status,
    score: scoreOf(status, dice),
    source_image_session_id: null,
    source_image: SANDBOX_IMAGES.portrait,
    target_image: SANDBOX_IMAGES.selfie,
    warnings: warningsOf(status, node, {
      feature: 'FACEMATCH',
      risk: 'LOW_FACE_MATCH_SIMILARITY',
      sentence: 'The face and the portrait on the document differ.',
    }),
  };
}

/** An item of `poa_verifications` (6.6). */
export function proofOfAddress({ dice, person, status, at }: CheckOrder): JsonObject {
  const node = 'feature_poa_1';
  const { country } = person;
  return {
    node_id: node,
    status,
    document_file: SANDBOX_IMAGES.paper,
    issuing_state: country.alpha2,
    document_type: dice.pick(['UTILITY_BILL', 'BANK_STATEMENT']),
    document_subtype: null,
    document_language: 'en',
    document_metadata: null,
    issuer: 'Sandbox Water & Light',
    issue_date: dayAfter(at, -10 - dice.below(60)),
    expiration_date: null,
    poa_address: person.street,
    poa_formatted_address: person.address,
    poa_parsed_address: {
      address_type: 'residential',
      street_1: person.street,
      street_2: null,
      city: country.city,
      region: country.region,
      country: country.alpha2,
      postal_code: person.postalCode,
      document_location: { ...country.position },
    },
    name_on_document: person.fullName,
    name_match_score_expected_details: null,
    name_match_score_id_verification: scoreOf(status, dice),
    expected_details_address: null,
    expected_details_formatted_address: null,
    expected_details_parsed_address: {},
    extra_fields: { additional_names: [] },
    extra_files: [],
    warnings: warningsOf(status, node, {
      feature: 'PROOF_OF_ADDRESS',
      risk: 'NAME_MISMATCH_WITH_PROVIDED',
      sentence: 'The name on the document differs.',
    }),
    detected_codes: [],
  };
}

/** An item of `document_ai_documents` (6.12). */
export function documentReading({ dice, person, status, at }: CheckOrder): JsonObject {
  const node = 'feature_document_ai_1';
  return {
    status,
    node_id: node,
    items: [
      {
        uuid: dice.uuid(),
        node_id: node,
        document_key: 'proof_of_funds',
        original_filename: 'sandbox.png',
        file_size: 110,
        file_url: SANDBOX_IMAGES.paper,
        status,
        extracted_data: { account_holder: person.fullName, balance: dice.decimal(100, 9000), currency: 'EUR' },
        detected_codes: [],
        fields: [
          { key: 'account_holder', name: 'Account holder', instruction: 'Who holds it', type: 'text', required: true },
        ],
        document_metadata: null,
        cross_check_result: null,
        created_at: at.toISOString(),
      },
    ],
    warnings: warningsOf(status, node, {
      feature: 'DOCUMENT_AI',
      risk: 'DATA_INCONSISTENT',
      sentence: 'The document and the answers disagree.',
    }),
  };
}

function imageQuality(score: number): JsonObject {
  return {
    focus_score: score,
    brightness_score: score,
    brightness_issue: 'ok',
    is_document_fully_visible: true,
    resolution_score: score,
    overall_score: score,
  };
}

function ageAt(birthDay: string, at: Date): number {
  const today = at.toISOString().slice(0, 10);
  const hadBirthday = today.slice(5) >= birthDay.slice(5);
  return Number(today.slice(0, 4)) - Number(birthDay.slice(0, 4)) - (hadBirthday ? 0 : 1);
}
