import { FEATURE_TOKENS, type CheckCategory } from './decision-categories.ts';
import { isJsonObject, type JsonObject } from './json.ts';

/** What can be asked to be done again, in the words of `nodes_to_resubmit` (contract/didit-api.md 2.4). */
export const RESUBMIT_FEATURES = [
  'OCR',
  'OCR_BACK',
  'NFC',
  'AML',
  'FACE',
  'LIVENESS',
  'FACE_MATCH',
  'IP_ANALYSIS',
  'AGE_ESTIMATION',
  'PROOF_OF_ADDRESS',
  'PHONE_VERIFICATION',
  'EMAIL_VERIFICATION',
  'FACE_SEARCH',
  'DATABASE_VALIDATION',
  'QUESTIONNAIRE',
  'DOCUMENT_AI',
  'KYB_DOCUMENTS',
  'ID_VERIFICATION',
  'POA',
  'PHONE',
  'EMAIL',
  'KYB_REGISTRY',
  'KYB_KEY_PEOPLE',
  'KYB',
] as const;
export type ResubmitFeature = (typeof RESUBMIT_FEATURES)[number];

/** Those that nobody can do again by themselves: their parts can. */
export const NEVER_RESUBMITTED: ReadonlySet<ResubmitFeature> = new Set<ResubmitFeature>([
  'KYB_REGISTRY',
  'KYB_KEY_PEOPLE',
  'KYB',
]);

/** One step of a session that is to be done again. */
export interface ResubmitNode {
  readonly node_id: string;
  readonly feature: ResubmitFeature;
}

const FEATURE_OF_CHECK: Readonly<Partial<Record<CheckCategory, ResubmitFeature>>> = {
  id_verifications: 'OCR',
  nfc_verifications: 'NFC',
  liveness_checks: 'LIVENESS',
  face_matches: 'FACE_MATCH',
  poa_verifications: 'PROOF_OF_ADDRESS',
  phone_verifications: 'PHONE_VERIFICATION',
  email_verifications: 'EMAIL_VERIFICATION',
  database_validations: 'DATABASE_VALIDATION',
  questionnaire_responses: 'QUESTIONNAIRE',
  document_ai_documents: 'DOCUMENT_AI',
  aml_screenings: 'AML',
  ip_analyses: 'IP_ANALYSIS',
  document_verifications: 'KYB_DOCUMENTS',
};

/** The arrays that a step can be in, by each name that Didit gives it. */
const CHECKS_OF_FEATURE: Readonly<Record<ResubmitFeature, readonly CheckCategory[]>> = {
  OCR: ['id_verifications'],
  OCR_BACK: ['id_verifications'],
  ID_VERIFICATION: ['id_verifications'],
  NFC: ['nfc_verifications'],
  AML: ['aml_screenings'],
  FACE: ['liveness_checks', 'face_matches'],
  LIVENESS: ['liveness_checks'],
  FACE_MATCH: ['face_matches'],
  FACE_SEARCH: ['liveness_checks', 'face_matches'],
  AGE_ESTIMATION: ['liveness_checks'],
  IP_ANALYSIS: ['ip_analyses'],
  PROOF_OF_ADDRESS: ['poa_verifications'],
  POA: ['poa_verifications'],
  PHONE_VERIFICATION: ['phone_verifications'],
  PHONE: ['phone_verifications'],
  EMAIL_VERIFICATION: ['email_verifications'],
  EMAIL: ['email_verifications'],
  DATABASE_VALIDATION: ['database_validations'],
  QUESTIONNAIRE: ['questionnaire_responses'],
  DOCUMENT_AI: ['document_ai_documents'],
  KYB_DOCUMENTS: ['document_verifications'],
  KYB_REGISTRY: ['registry_checks'],
  KYB_KEY_PEOPLE: ['key_people_checks'],
  KYB: ['registry_checks'],
};
/** The id of a step that has none. */
const DEFAULT_NODE = 'default';
const TO_DO_AGAIN: ReadonlySet<unknown> = new Set([
  'Declined',
  'In Review',
  'Not Finished',
  'Expired',
  'Resub Requested',
]);
const MAX_NODE_ID = 255;
const MAX_NODES = 50;
const MAX_RISKS = 20;

/** A stored item, opened. */
export interface OpenedCheck {
  readonly category: CheckCategory;
  readonly item: JsonObject;
}

/** The steps that did not pass, when the caller names none. A step without a usable id is Didit's `default` one. */
export function nodesToResubmit(checks: readonly OpenedCheck[]): ResubmitNode[] {
  return checks
    .flatMap(({ category, item }) => {
      const feature = FEATURE_OF_CHECK[category];
      if (feature === undefined || !TO_DO_AGAIN.has(item['status'])) return [];
      return [{ node_id: nodeIdOf(item) ?? DEFAULT_NODE, feature }];
    })
    .slice(0, MAX_NODES);
}

/**
 * Those of the named steps that the session does not have. Where none of its items has an id, the feature alone decides.
 *
 * @param tokens the session's own `features`, which may name more than there are items
 */
export function unknownNodes(
  nodes: readonly ResubmitNode[],
  checks: readonly OpenedCheck[],
  tokens: readonly string[],
): ResubmitNode[] {
  const withIds = checks.some(({ item }) => nodeIdOf(item) !== null);
  return nodes.filter(({ node_id, feature }) => {
    const categories = CHECKS_OF_FEATURE[feature];
    const items = checks.filter(({ category }) => categories.includes(category));
    if (withIds) return !items.some(({ item }) => (nodeIdOf(item) ?? DEFAULT_NODE) === node_id);
    return items.length === 0 && !categories.some((category) => tokens.includes(FEATURE_TOKENS[category] ?? ''));
  });
}

/** `resubmit_info` of the webhook: the steps, and why, as the codes of their warnings. */
export function resubmitInfo(nodes: readonly ResubmitNode[], checks: readonly OpenedCheck[]): JsonObject {
  return {
    nodes_to_resubmit: nodes.map((node) => ({ ...node })),
    reasons: nodes.map(({ node_id, feature }) => ({
      node_id,
      risks: checks
        .filter(({ category, item }) => FEATURE_OF_CHECK[category] === feature && nodeIdOf(item) === node_id)
        .flatMap(({ item }) => risksOf(item))
        .slice(0, MAX_RISKS),
    })),
  };
}

function nodeIdOf(item: JsonObject): string | null {
  const id = item['node_id'];
  return typeof id === 'string' && id !== '' && id.length <= MAX_NODE_ID ? id : null;
}

function risksOf(item: JsonObject): string[] {
  const warnings = item['warnings'];
  if (!Array.isArray(warnings)) return [];
  return warnings.flatMap((warning) => {
    const risk = isJsonObject(warning) ? warning['risk'] : null;
    return typeof risk === 'string' && /^[A-Z0-9_]{1,64}$/.test(risk) ? [risk] : [];
  });
}
