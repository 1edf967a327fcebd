import { CHECK_CATEGORIES, type SessionKind } from './decision-categories.ts';
import type { DecisionEnvironment } from './decision-document.ts';
import { isDecisionField, readDecision, type DecisionContent, type DecisionProblem } from './decision-intake.ts';
import { isJsonObject, setMember, type JsonObject, type JsonValue } from './json.ts';
import { leaveOutManyLinks } from './media-references.ts';
import { parseStatus, type SessionStatus } from './session-status.ts';

/** What one of Didit's webhooks says of a session. */
export interface SourceEvent {
  /** The same for every sending; null in what has none. */
  readonly eventId: string | null;
  /** Didit's id of the session: our `external_id`. */
  readonly externalId: string;
  readonly status: SessionStatus;
  readonly environment: DecisionEnvironment | null;
  /** Unix seconds of the change: it is what puts the events of a session in order. */
  readonly madeAt: number;
  /** Unix seconds of this sending, for events of the same second. */
  readonly sentAt: number;
  /** What a new session is made of; null when not even its kind is told. */
  readonly content: DecisionContent | null;
  /** Whether `content` has the checks; without, a session that is known keeps its own. */
  readonly hasDecision: boolean;
  /** Members of the decision that we have no place for, and files that are too many. */
  readonly ignoredFields: readonly string[];
}

/** A webhook about a session, or about something else, or one that cannot be read. */
export type SourceEventReading =
  | { readonly about: 'session'; readonly event: SourceEvent }
  | { readonly about: 'else' }
  | { readonly about: 'nothing'; readonly problems: readonly DecisionProblem[] };

const SESSION_EVENTS: ReadonlySet<JsonValue> = new Set(['status.updated', 'data.updated']);

/** Members of a decision in the shape of webhook version 2, which has no arrays. */
const SINGULAR_FIELDS = [
  'kyc',
  'id_verification',
  'nfc',
  'liveness',
  'face',
  'face_match',
  'phone',
  'email',
  'poa',
  'aml',
];

/** Members without which a decision is worth as much: one that we cannot read is left out. */
const DISPENSABLE: ReadonlySet<string> = new Set(['features', 'created_at', 'expires_at', 'nfc_skip_reason']);

/** Members that the envelope tells, by their name in a decision document. */
const ENVELOPE_NAMES: Readonly<Record<string, string>> = {
  external_id: 'session_id',
  session_kind: 'session_kind',
  status: 'status',
  environment: 'environment',
  vendor_data: 'vendor_data',
};

const MAX_IGNORED_NAMES = 50;
const MAX_NAME = 100;

/** When a webhook says that it was sent, in whole Unix seconds; null when it does not say. */
export function sentAtOf(body: JsonObject): number | null {
  return secondsOf(body['timestamp']);
}

/**
 * Reads Didit's webhook (contract/didit-api.md 4.4) of version 3. What a later release of Didit adds never makes it
 * unreadable; console tests and events of other things are told apart.
 */
export function readSourceEvent(body: JsonObject): SourceEventReading {
  const type = body['webhook_type'];
  if (typeof type !== 'string') return refused({ field: 'webhook_type', message: 'This field is required.' });
  if (!SESSION_EVENTS.has(type) || isConsoleTest(body)) return { about: 'else' };
  const sentAt = sentAtOf(body);
  if (sentAt === null) return refused({ field: 'timestamp', message: 'Whole Unix seconds are required.' });

  const decision = body['decision'] ?? null;
  if (decision !== null && !isJsonObject(decision))
    return refused({ field: 'decision', message: 'Must be an object.' });
  if (decision !== null && isVersion2(decision)) {
    const message = 'This is the shape of webhook version 2: choose version 3 for this destination at Didit.';
    return refused({ field: 'decision', message });
  }
  const ignored: string[] = [];
  const document = documentOf(body, decision, ignored);
  const content = document['session_kind'] === null ? null : readLeniently(document, ignored);
  const problems = [...boundsOf(document), ...(content === null ? headProblems(document) : content.problems)];
  const { external_id: externalId, status: stated } = document;
  const eventId = body['event_id'];
  const status = typeof stated === 'string' ? parseStatus(stated) : null;
  // Only to the types: both would be among the problems.
  if (problems.length > 0 || status === null || typeof externalId !== 'string') return refused(...problems.map(named));

  // A time after the sending would keep every later change out.
  const madeAt = Math.min(secondsOf(body['created_at']) ?? sentAt, sentAt);
  return {
    about: 'session',
    event: {
      eventId: typeof eventId === 'string' && eventId !== '' ? eventId.slice(0, MAX_NAME) : null,
      externalId,
      status,
      environment: (document['environment'] ?? null) as DecisionEnvironment | null,
      madeAt,
      sentAt,
      content: content?.ok === true ? withFewLinks(content, ignored) : null,
      hasDecision: decision !== null,
      ignoredFields: ignored.slice(0, MAX_IGNORED_NAMES).map((name) => name.slice(0, MAX_NAME)),
    },
  };
}

function refused(...problems: DecisionProblem[]): SourceEventReading {
  return { about: 'nothing', problems };
}

function secondsOf(value: JsonValue | undefined): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

/** Sent by a button of Didit's console, about a session that is none. */
function isConsoleTest(body: JsonObject): boolean {
  const metadata = body['metadata'];
  return isJsonObject(metadata) && metadata['test_webhook'] === true;
}

function isVersion2(decision: JsonObject): boolean {
  return (
    !Object.values(CHECK_CATEGORIES)
      .flat()
      .some((name) => Array.isArray(decision[name])) && SINGULAR_FIELDS.some((name) => isJsonObject(decision[name]))
  );
}

/** The decision document that the webhook amounts to: the decision where there is one, under the envelope's own words. */
function documentOf(body: JsonObject, decision: JsonObject | null, ignored: string[]): JsonObject {
  const document: JsonObject = {};
  for (const [name, value] of Object.entries(decision ?? {})) {
    if (isDecisionField(name)) setMember(document, name, value);
    else ignored.push(`decision.${name}`);
  }
  const either = (name: string) => body[name] ?? document[name] ?? null;
  const vendorData = either('vendor_data');
  return {
    ...document,
    ...(document['features'] !== undefined && { features: featureNames(document['features']) }),
    metadata: document['metadata'] ?? body['metadata'] ?? null,
    external_id: body['session_id'] ?? body['business_session_id'] ?? null,
    session_kind: kindOf(body, document, decision !== null),
    status: either('status'),
    environment: either('environment'),
    vendor_data: vendorData === '' ? null : vendorData,
  };
}

/** The kind as stated; by what only a business has, where it is not; a decision without either is a person's. */
function kindOf(body: JsonObject, document: JsonObject, hasDecision: boolean): JsonValue {
  const stated = body['session_kind'] ?? document['session_kind'] ?? null;
  if (stated !== null) return stated;
  const own = CHECK_CATEGORIES.business.filter((name) => !CHECK_CATEGORIES.user.includes(name));
  const isBusiness =
    (body['business_session_id'] ?? body['vendor_business_id'] ?? null) !== null ||
    own.some((name) => Array.isArray(document[name]));
  if (isBusiness) return 'business' satisfies SessionKind;
  return hasDecision ? ('user' satisfies SessionKind) : null;
}

/** `features` as names; a decision with its events has objects. */
function featureNames(features: JsonValue): JsonValue {
  if (!Array.isArray(features)) return features;
  return features.map((feature) => (isJsonObject(feature) ? (feature['feature'] ?? null) : feature));
}

function readLeniently(document: JsonObject, ignored: string[]): ReturnType<typeof readDecision> {
  const reading = readDecision(document);
  const dispensable = reading.problems.map(({ field }) => field).filter((field) => DISPENSABLE.has(field));
  if (dispensable.length === 0) return reading;
  for (const field of dispensable) delete document[field];
  ignored.push(...dispensable.map((field) => `decision.${field}`));
  return readDecision(document);
}

/** Files are fetched one by one. */
function withFewLinks(content: DecisionContent, ignored: string[]): DecisionContent {
  const { checks, leftOut } = leaveOutManyLinks(content.checks);
  ignored.push(...leftOut.map((field) => `decision.${field}`));
  return { ...content, checks };
}

/** What `readDecision` would say of an envelope that tells no kind. */
function headProblems(document: JsonObject): readonly DecisionProblem[] {
  return readDecision({ ...document, session_kind: 'user' }).problems;
}

function boundsOf(document: JsonObject): DecisionProblem[] {
  const problems: DecisionProblem[] = [];
  const externalId = document['external_id'];
  if (typeof externalId !== 'string' || externalId === '') {
    problems.push({ field: 'external_id', message: 'This field is required.' });
  }
  return problems;
}

function named({ field, message }: DecisionProblem): DecisionProblem {
  return { field: ENVELOPE_NAMES[field] ?? `decision.${field}`, message };
}
