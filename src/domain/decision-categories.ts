/** What a session verified: a person (`user`, KYC) or a company (`business`, KYB). */
export type SessionKind = 'user' | 'business';

/** An array of a decision document, under the name that rows are stored by. */
export type CheckCategory =
  | 'id_verifications'
  | 'nfc_verifications'
  | 'liveness_checks'
  | 'face_matches'
  | 'phone_verifications'
  | 'email_verifications'
  | 'poa_verifications'
  | 'document_ai_documents'
  | 'questionnaire_responses'
  | 'aml_screenings'
  | 'ip_analyses'
  | 'database_validations'
  | 'registry_checks'
  | 'document_verifications'
  | 'key_people_checks'
  | 'reviews';

/** Each kind's arrays in Didit's order (contract/didit-api.md 2.2). */
export const CHECK_CATEGORIES: Readonly<Record<SessionKind, readonly CheckCategory[]>> = {
  user: [
    'id_verifications',
    'nfc_verifications',
    'liveness_checks',
    'face_matches',
    'phone_verifications',
    'email_verifications',
    'poa_verifications',
    'document_ai_documents',
    'questionnaire_responses',
    'aml_screenings',
    'ip_analyses',
    'database_validations',
    'reviews',
  ],
  business: [
    'registry_checks',
    'aml_screenings',
    'document_verifications',
    'key_people_checks',
    'phone_verifications',
    'email_verifications',
    'questionnaire_responses',
    'ip_analyses',
    'reviews',
  ],
};

/** The second name of an array, to the one it is stored by (contract row 8). */
export const CATEGORY_ALIASES = {
  proof_of_address: 'poa_verifications',
  questionnaires: 'questionnaire_responses',
} as const satisfies Record<string, CheckCategory>;

/** The second name of this array, or null. */
export function aliasOf(category: CheckCategory): string | null {
  return Object.entries(CATEGORY_ALIASES).find(([, canonical]) => canonical === category)?.[0] ?? null;
}

/**
 * The `features` token of an array (contract/didit-api.md 2.2), for documents that state no `features`.
 * `DOCUMENT_AI` is the warnings' word: Didit lists no token for it.
 */
export const FEATURE_TOKENS: Readonly<Record<CheckCategory, string | null>> = {
  id_verifications: 'ID_VERIFICATION',
  nfc_verifications: 'NFC',
  liveness_checks: 'LIVENESS',
  face_matches: 'FACE_MATCH',
  phone_verifications: 'PHONE',
  email_verifications: 'EMAIL_VERIFICATION',
  poa_verifications: 'POA',
  document_ai_documents: 'DOCUMENT_AI',
  questionnaire_responses: 'QUESTIONNAIRE',
  aml_screenings: 'AML',
  ip_analyses: 'IP_ANALYSIS',
  database_validations: 'DATABASE_VALIDATION',
  registry_checks: 'KYB_REGISTRY',
  document_verifications: 'KYB_DOCUMENTS',
  key_people_checks: 'KYB_KEY_PEOPLE',
  reviews: null,
};
