import { CHECK_CATEGORIES, type CheckCategory, type SessionKind } from '../decision-categories.ts';
import type { SessionStatus } from '../session-status.ts';

/** A way in which a simulated verification can go. */
export interface SandboxScenario {
  /** Name in `sandbox_scenario`. */
  readonly slug: string;
  /** The session's status afterwards. */
  readonly status: SessionStatus;
  readonly description: string;
}

/** Every scenario; each works for users and businesses. */
export const SANDBOX_SCENARIOS: readonly SandboxScenario[] = [
  { slug: 'approved', status: 'Approved', description: 'Every check passes.' },
  { slug: 'declined', status: 'Declined', description: 'One check fails; which one follows from the session id.' },
  {
    slug: 'in_review',
    status: 'In Review',
    description: 'One check is doubtful; which one follows from the session id.',
  },
  { slug: 'abandoned', status: 'Abandoned', description: 'Left after the first check.' },
  { slug: 'expired', status: 'Expired', description: 'Never started; no check ran.' },
  {
    slug: 'kyc_expired',
    status: 'Kyc Expired',
    description: 'Every check passed, and the documents have expired since.',
  },
  { slug: 'resubmitted', status: 'Resubmitted', description: 'One check has to be done again.' },
  {
    slug: 'awaiting_user',
    status: 'Awaiting User',
    description: 'Waits for the last step, or for the people of a business.',
  },
  { slug: 'in_progress', status: 'In Progress', description: 'Started; the first check is done.' },
];

/** The scenario of this name, or null. */
export function scenarioNamed(slug: string): SandboxScenario | null {
  return SANDBOX_SCENARIOS.find((scenario) => scenario.slug === slug) ?? null;
}

/** Status of one check of a session, in Didit's words. */
export type FeatureStatus = 'Not Finished' | 'Approved' | 'Declined' | 'In Review' | 'Expired' | 'Resub Requested';

/** What a simulation runs when its verification workflow names no features. */
const USUAL_CHECKS: Readonly<Record<SessionKind, readonly CheckCategory[]>> = {
  user: [
    'id_verifications',
    'liveness_checks',
    'face_matches',
    'poa_verifications',
    'phone_verifications',
    'email_verifications',
    'aml_screenings',
    'ip_analyses',
  ],
  business: [
    'registry_checks',
    'document_verifications',
    'aml_screenings',
    'questionnaire_responses',
    'ip_analyses',
    'key_people_checks',
  ],
};

/** Features of verification workflows, by every name that Didit gives them, and the arrays that they fill. */
const CHECK_OF_FEATURE: Readonly<Record<string, CheckCategory>> = {
  OCR: 'id_verifications',
  ID_VERIFICATION: 'id_verifications',
  NFC: 'nfc_verifications',
  LIVENESS: 'liveness_checks',
  FACE_MATCH: 'face_matches',
  PROOF_OF_ADDRESS: 'poa_verifications',
  POA: 'poa_verifications',
  QUESTIONNAIRE: 'questionnaire_responses',
  DOCUMENT_AI: 'document_ai_documents',
  PHONE_VERIFICATION: 'phone_verifications',
  PHONE: 'phone_verifications',
  EMAIL_VERIFICATION: 'email_verifications',
  EMAIL: 'email_verifications',
  DATABASE_VALIDATION: 'database_validations',
  AML: 'aml_screenings',
  IP_ANALYSIS: 'ip_analyses',
  KYB_REGISTRY: 'registry_checks',
  KYB_DOCUMENTS: 'document_verifications',
  KYB_KEY_PEOPLE: 'key_people_checks',
};

/** The arrays that a verification workflow's features fill, in its order; a usual set when it names none. */
export function checksOfFeatures(kind: SessionKind, features: readonly string[]): CheckCategory[] {
  const named = features.flatMap((feature) => {
    const category = Object.hasOwn(CHECK_OF_FEATURE, feature) ? CHECK_OF_FEATURE[feature] : undefined;
    return category !== undefined && CHECK_CATEGORIES[kind].includes(category) ? [category] : [];
  });
  return [...new Set(named.length > 0 ? named : USUAL_CHECKS[kind])];
}

/** Items of these never say `Resub Requested` (contract/didit-api.md 2.9). */
const NO_RESUBMISSION: ReadonlySet<CheckCategory> = new Set<CheckCategory>([
  'id_verifications',
  'phone_verifications',
  'email_verifications',
  'document_ai_documents',
]);

/** Nobody can do these again by themselves. */
const NEVER_DONE_AGAIN: ReadonlySet<CheckCategory> = new Set<CheckCategory>(['registry_checks', 'key_people_checks']);

/**
 * How each check of a scenario went; a check that is left out never ran.
 *
 * @param checks what the verification workflow asks for, in its order; not empty
 * @param troubled index, in `checks`, of the check that decides a bad ending
 */
export function planChecks(
  status: SessionStatus,
  checks: readonly CheckCategory[],
  troubled: number,
): ReadonlyMap<CheckCategory, FeatureStatus> {
  const all = (one: (category: CheckCategory, index: number) => FeatureStatus) =>
    new Map(checks.map((category, index) => [category, one(category, index)]));
  const but = (bad: (category: CheckCategory) => FeatureStatus) =>
    all((category, index) => (index === troubled ? bad(category) : 'Approved'));
  switch (status) {
    case 'Approved':
      return all(() => 'Approved');
    case 'Declined':
      return but(() => 'Declined');
    case 'In Review':
      return but(() => 'In Review');
    case 'Resubmitted': {
      const again = checks.filter((category) => !NEVER_DONE_AGAIN.has(category));
      const bad = again[troubled % again.length] ?? checks[troubled];
      return all((category) => {
        if (category !== bad) return 'Approved';
        return NO_RESUBMISSION.has(category) ? 'Declined' : 'Resub Requested';
      });
    }
    case 'Kyc Expired':
      return all((category) => (category === 'id_verifications' ? 'Expired' : 'Approved'));
    case 'Awaiting User': {
      const waiting = checks.includes('key_people_checks') ? 'key_people_checks' : checks.at(-1);
      return all((category) => (category === waiting ? 'Not Finished' : 'Approved'));
    }
    case 'Abandoned':
    case 'In Progress':
      return new Map(
        checks.slice(0, 2).map((category, index) => [category, index === 0 ? 'Approved' : 'Not Finished']),
      );
    case 'Not Started':
    case 'Expired':
      return new Map();
  }
}
