import type { CheckCategory } from './decision-categories.ts';
import { isJsonObject, setMember } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';

/** Arrays and objects may nest this deep inside one item; an ownership chain uses two levels per company. */
export const MAX_NESTING = 100;

/** A `kyc_session_id` of a business's record: who the person's own session is, in the issuer's words. */
export interface PersonReference {
  /** RFC 6901 pointer to the field, inside its item. */
  readonly pointer: string;
  /** A session id or an `external_id` of the owner's; it may not have arrived yet. */
  readonly reference: string;
}

/** A person's session as one reader is to see it; null where that reader has none. */
export interface PersonLink {
  readonly pointer: string;
  readonly sessionId: string | null;
}

/** A value that stays with its owner: RFC 6901 pointer inside its item, and the value. */
export type HomeValue = readonly [pointer: string, value: JsonValue];

/** One item of one array, parted by who may read it. */
export interface CheckParts {
  readonly category: CheckCategory;
  /** Index in its array. */
  readonly position: number;
  /** What an import may carry: home values are `[]` or null, every `kyc_session_id` is null. */
  readonly shared: JsonObject;
  readonly home: readonly HomeValue[];
  readonly people: readonly PersonReference[];
}

/** An item nests deeper than `MAX_NESTING`, or a stored pointer names nothing in its item. */
export class DecisionPartError extends Error {
  override readonly name = 'DecisionPartError';
  /** RFC 6901 pointer inside the item. */
  readonly pointer: string;

  constructor(pointer: string, message: string) {
    super(message);
    this.pointer = pointer;
  }
}

/** Links and tokens of hosted flows: `session_url`, `kyc_session_url`, `kyb_sub_session_url`, `session_token`, … */
const HOSTED_FLOW_KEY = /(?:^|_)session_(?:url|token)$/;

const REVIEWER_KEYS: ReadonlySet<string> = new Set([
  'user',
  'actor_email',
  'actor_name',
  'actor_display',
  'mentioned_emails',
]);

/** Where a walk stands inside an item. */
interface Place {
  readonly pointer: string;
  readonly depth: number;
  /** Inside a warning's `additional_data`, whose `duplicated_…` keys name the issuer's other customers. */
  readonly inWarningDetails: boolean;
}

const ITEM: Place = { pointer: '', depth: 0, inWarningDetails: false };

const PEOPLE_CATEGORIES: ReadonlySet<CheckCategory> = new Set<CheckCategory>(['key_people_checks', 'registry_checks']);

/**
 * Parts one item into what may travel and what stays home (contract row 29). The item itself is left as it is.
 *
 * @throws {DecisionPartError} when the item nests deeper than `MAX_NESTING`
 */
export function takeApart(category: CheckCategory, position: number, item: JsonObject): CheckParts {
  const home: HomeValue[] = [];
  const people: PersonReference[] = [];

  function shareObject(object: JsonObject, place: Place): JsonObject {
    refuseTooDeep(place);
    const copy: JsonObject = {};
    for (const [key, value] of Object.entries(object)) {
      setMember(copy, key, shareMember(key, value, below(place, key)));
    }
    return copy;
  }

  function shareMember(key: string, value: JsonValue, place: Place): JsonValue {
    if (key === 'kyc_session_id' && typeof value === 'string' && PEOPLE_CATEGORIES.has(category)) {
      people.push({ pointer: place.pointer, reference: value });
      return null;
    }
    if (!staysHome(category, key, place)) return shareValue(value, place);
    const blank = Array.isArray(value) ? [] : null;
    if (value !== null && !(Array.isArray(value) && value.length === 0)) {
      refuseDeepNesting(value, place);
      home.push([place.pointer, value]);
    }
    return blank;
  }

  function shareValue(value: JsonValue, place: Place): JsonValue {
    if (Array.isArray(value)) {
      refuseTooDeep(place);
      return value.map((element, index) => shareValue(element, below(place, String(index))));
    }
    return isJsonObject(value) ? shareObject(value, place) : value;
  }

  return { category, position, shared: shareObject(item, ITEM), home, people };
}

/**
 * Renders one item: the inverse of `takeApart`. With `home` it is the owner's view; without, an import's.
 * `kyc_session_id` is null wherever `people` names no session.
 *
 * @throws {DecisionPartError} when a pointer names nothing in the item
 */
export function putTogether(parts: {
  readonly shared: JsonObject;
  readonly home?: readonly HomeValue[];
  readonly people?: readonly PersonLink[];
}): JsonObject {
  const item = copyObject(parts.shared);
  for (const [pointer, value] of parts.home ?? []) putAt(item, pointer, value);
  for (const { pointer, sessionId } of parts.people ?? []) putAt(item, pointer, sessionId);
  return item;
}

/**
 * Refuses a value that nests deeper than `MAX_NESTING`.
 *
 * @throws {DecisionPartError} naming the first place that is too deep
 */
export function refuseDeepNesting(value: JsonValue, place: Place = ITEM): void {
  if (typeof value !== 'object' || value === null) return;
  refuseTooDeep(place);
  for (const [key, member] of Object.entries(value)) refuseDeepNesting(member, below(place, key));
}

function staysHome(category: CheckCategory, key: string, place: Place): boolean {
  return (
    key === 'matches' ||
    key === 'kyc_session_id' ||
    HOSTED_FLOW_KEY.test(key) ||
    (place.inWarningDetails && key.startsWith('duplicated_')) ||
    (category === 'reviews' && REVIEWER_KEYS.has(key))
  );
}

function below(place: Place, key: string): Place {
  return {
    pointer: `${place.pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`,
    depth: place.depth + 1,
    inWarningDetails: place.inWarningDetails || key === 'additional_data',
  };
}

function refuseTooDeep({ pointer, depth }: Place): void {
  if (depth >= MAX_NESTING) {
    throw new DecisionPartError(pointer, `nests more than ${MAX_NESTING} levels deep: flatten it or leave it out`);
  }
}

function putAt(item: JsonObject, pointer: string, value: JsonValue): void {
  const keys = pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = keys.pop();
  let parent: JsonValue | undefined = item;
  for (const key of keys) parent = memberOf(parent, key);
  if (last === undefined || memberOf(parent, last) === undefined || typeof parent !== 'object' || parent === null) {
    throw new DecisionPartError(pointer, 'names nothing in its item: store the parts of one item together');
  }
  if (Array.isArray(parent)) parent[Number(last)] = value;
  else setMember(parent, last, value);
}

function memberOf(parent: JsonValue | undefined, key: string): JsonValue | undefined {
  if (Array.isArray(parent)) return parent[Number(key)];
  return isJsonObject(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined;
}

function copyObject(object: JsonObject): JsonObject {
  const copy: JsonObject = {};
  for (const [key, value] of Object.entries(object)) setMember(copy, key, copyValue(value));
  return copy;
}

function copyValue(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(copyValue);
  return isJsonObject(value) ? copyObject(value) : value;
}
