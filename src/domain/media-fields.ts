import { CATEGORY_ALIASES, CHECK_CATEGORIES, type CheckCategory } from './decision-categories.ts';
import { isJsonObject, setMember, type JsonObject, type JsonValue } from './json.ts';
import { isMediaKey } from './media-references.ts';

/** A media field of a session, as its owner names it: `id_verifications.0.front_image`. */
export interface MediaField {
  readonly category: CheckCategory;
  readonly position: number;
  /** Members and indexes inside the item. */
  readonly path: readonly string[];
}

/** A list of files holds no more of them. */
const MAX_LISTED = 100;

const CATEGORIES: ReadonlyMap<string, CheckCategory> = new Map([
  ...[...CHECK_CATEGORIES.user, ...CHECK_CATEGORIES.business].map((category) => [category, category] as const),
  ...Object.entries(CATEGORY_ALIASES),
]);

/** Reads a dotted path to a media field; null when it names none. */
export function parseMediaField(field: string): MediaField | null {
  const [name = '', index = '', ...path] = field.split('.');
  const category = CATEGORIES.get(name);
  if (category === undefined || !isIndex(index)) return null;
  const last = path.at(-1) ?? '';
  const key = isIndex(last) ? path.at(-2) : last;
  return key !== undefined && isMediaKey(category, key) ? { category, position: Number(index), path } : null;
}

/**
 * Sets a media field of an item, in place. A list takes its elements in turn: the index after the last adds one.
 *
 * @returns the text that stood there, null for none; undefined when the item has no place of that name
 */
export function setMediaField(item: JsonObject, path: readonly string[], text: string): string | null | undefined {
  const parents = path.slice(0, -1);
  const last = path.at(-1) ?? '';
  let parent: JsonValue | undefined = item;
  for (const [depth, key] of parents.entries()) {
    const next = memberOf(parent, key);
    // A list of files that nothing was ever put into.
    if ((next ?? null) === null && depth === parents.length - 1 && last === '0' && isJsonObject(parent)) {
      setMember(parent, key, [text]);
      return null;
    }
    parent = next;
  }
  if (Array.isArray(parent)) {
    const index = Number(last);
    if (!isIndex(last) || index > parent.length || index >= MAX_LISTED) return undefined;
    const before = parent[index] ?? null;
    if (before !== null && typeof before !== 'string') return undefined;
    parent[index] = text;
    return before;
  }
  if (!isJsonObject(parent) || isIndex(last)) return undefined;
  const before = memberOf(parent, last) ?? null;
  if (before !== null && typeof before !== 'string') return undefined;
  setMember(parent, last, text);
  return before;
}

function memberOf(parent: JsonValue | undefined, key: string): JsonValue | undefined {
  if (Array.isArray(parent)) return isIndex(key) ? parent[Number(key)] : undefined;
  return isJsonObject(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined;
}

function isIndex(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text);
}
