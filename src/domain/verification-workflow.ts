import type { SessionKind } from './decision-categories.ts';
import type { JsonObject } from './json.ts';

/** What a verification workflow can ask of a person or company, in Didit's words (contract/didit-api.md 3.1). */
export const WORKFLOW_FEATURES = [
  'OCR',
  'NFC',
  'LIVENESS',
  'FACE_MATCH',
  'PROOF_OF_ADDRESS',
  'QUESTIONNAIRE',
  'DOCUMENT_AI',
  'PHONE_VERIFICATION',
  'EMAIL_VERIFICATION',
  'DATABASE_VALIDATION',
  'AML',
  'IP_ANALYSIS',
  'AGE_ESTIMATION',
  'KYB_REGISTRY',
  'KYB_DOCUMENTS',
  'KYB_KEY_PEOPLE',
] as const;
export type WorkflowFeature = (typeof WORKFLOW_FEATURES)[number];

/** One step of a verification workflow. */
export interface FeatureStep {
  readonly feature: WorkflowFeature;
  readonly config: JsonObject;
  readonly label: string | null;
}

/** How a verification workflow runs, besides its steps. Times in seconds where no unit is said. */
export interface WorkflowSettings {
  readonly is_white_label_enabled: boolean;
  readonly is_desktop_allowed: boolean;
  readonly max_retry_attempts: number;
  readonly retry_window_days: number | null;
  readonly face_liveness_max_attempts: number;
  readonly face_match_max_attempts: number;
  readonly session_expiration_time: number;
}

/** Didit's defaults. */
export const DEFAULT_SETTINGS: WorkflowSettings = {
  is_white_label_enabled: false,
  is_desktop_allowed: false,
  max_retry_attempts: 3,
  retry_window_days: 7,
  face_liveness_max_attempts: 3,
  face_match_max_attempts: 3,
  session_expiration_time: 604_800,
};

/** What a workflow of each kind consists of when nothing else is said. */
export const DEFAULT_FEATURES: Readonly<Record<SessionKind, readonly FeatureStep[]>> = {
  user: (['OCR', 'LIVENESS', 'FACE_MATCH'] as const).map(plainStep),
  business: (['KYB_REGISTRY', 'KYB_DOCUMENTS', 'KYB_KEY_PEOPLE'] as const).map(plainStep),
};

const NEVER_FIRST: ReadonlySet<WorkflowFeature> = new Set([
  'AML',
  'IP_ANALYSIS',
  'DATABASE_VALIDATION',
  'KYB_KEY_PEOPLE',
]);
const NEEDS_BEFORE: Readonly<Partial<Record<WorkflowFeature, readonly WorkflowFeature[]>>> = { FACE_MATCH: ['OCR'] };

/** What is wrong with the order of steps, in Didit's sentence, or null. */
export function problemOfOrder(features: readonly WorkflowFeature[]): string | null {
  for (const [position, feature] of features.entries()) {
    if (position === 0 && NEVER_FIRST.has(feature)) return `Feature '${feature}' cannot be the first feature.`;
    const needed = NEEDS_BEFORE[feature];
    if (needed !== undefined && !needed.some((before) => features.slice(0, position).includes(before))) {
      return `Feature '${feature}' must appear after one of: ${needed.join(', ')}.`;
    }
  }
  return null;
}

/** Whom a workflow with these steps verifies: one KYB step makes it a company's. */
export function kindOfFeatures(features: readonly WorkflowFeature[]): SessionKind {
  return features.some((feature) => feature.startsWith('KYB_')) ? 'business' : 'user';
}

function plainStep(feature: WorkflowFeature): FeatureStep {
  return { feature, config: {}, label: null };
}
