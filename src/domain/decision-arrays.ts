import { aliasOf, CATEGORY_ALIASES, CHECK_CATEGORIES, FEATURE_TOKENS } from './decision-categories.ts';
import type { CheckCategory, SessionKind } from './decision-categories.ts';
import { isCalendarDate } from './decision-dates.ts';
import { DecisionPartError, takeApart } from './decision-parts.ts';
import type { CheckParts } from './decision-parts.ts';
import { isJsonObject, sameJson } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';

/** Takes down what is wrong with a field, and how to mend it. */
export type Report = (field: string, message: string) => void;

/** An index entry of Postgres holds no longer one. */
const MAX_POINTER_CHARACTERS = 500;
/** As long as an `external_id` can be. */
const MAX_REFERENCE_CHARACTERS = 255;

const OTHER_KIND: Readonly<Record<SessionKind, SessionKind>> = { user: 'business', business: 'user' };

/** Every array name that a document may use, aliases included. */
export const ARRAY_NAMES: readonly string[] = [
  ...new Set([...CHECK_CATEGORIES.user, ...CHECK_CATEGORIES.business, ...Object.keys(CATEGORY_ALIASES)]),
];

/** Takes every array of the document apart; arrays of the other kind must be empty. */
export function readChecks(document: JsonObject, kind: SessionKind, report: Report): CheckParts[] {
  refuseOtherKind(document, kind, report);
  return CHECK_CATEGORIES[kind].flatMap((category) => {
    const alias = aliasOf(category);
    const items = readItems(document, category, report);
    const aliased = alias === null ? null : readItems(document, alias, report);
    const name = items === null && alias !== null ? alias : category;
    const given = items ?? aliased ?? [];
    const parts = given.flatMap((item, position) => partsOf(category, position, item, name, report));
    // An item that is too deep has been reported, and would overflow the comparison.
    const comparable = items !== null && aliased !== null && parts.length === items.length;
    if (alias !== null && comparable && !sameJson(items, aliased)) {
      report(alias, `It differs from \`${category}\`, its other name: give one of them, or the same in both.`);
    }
    return parts;
  });
}

/** The `features` tokens of the arrays that have content, in the arrays' order. */
export function featuresOf(checks: readonly CheckParts[]): string[] {
  const tokens = checks.flatMap(({ category }) => FEATURE_TOKENS[category] ?? []);
  return [...new Set(tokens)];
}

/** The earliest valid `expiration_date` of the identity documents, `YYYY-MM-DD`, or null. */
export function earliestExpiry(checks: readonly CheckParts[]): string | null {
  let earliest: string | null = null;
  for (const { category, shared } of checks) {
    const date = shared['expiration_date'];
    if (category !== 'id_verifications' || typeof date !== 'string' || !isCalendarDate(date)) continue;
    if (earliest === null || date < earliest) earliest = date;
  }
  return earliest;
}

/** Reports a value that can't be taken apart under the name that the caller gave it; any other error passes. */
export function reportPart(error: unknown, field: string, report: Report): void {
  if (!(error instanceof DecisionPartError)) throw error;
  report(field, `At ${error.pointer} it ${error.message}.`);
}

function refuseOtherKind(document: JsonObject, kind: SessionKind, report: Report): void {
  const own = new Set<string>(CHECK_CATEGORIES[kind].flatMap((category) => [category, aliasOf(category) ?? category]));
  for (const name of ARRAY_NAMES) {
    const value = document[name] ?? null;
    if (own.has(name) || value === null || (Array.isArray(value) && value.length === 0)) continue;
    report(name, `Only a ${OTHER_KIND[kind]} session has it: remove it, or correct \`session_kind\`.`);
  }
}

/** The array under this name: null when absent, `[]` for null (a feature that never ran). */
function readItems(document: JsonObject, name: string, report: Report): JsonObject[] | null {
  const value = document[name];
  if (value === undefined) return null;
  if (value === null) return [];
  if (!Array.isArray(value)) {
    report(name, 'It is not an array: give an array of objects, or null.');
    return null;
  }
  const items = value.filter(isJsonObject);
  if (items.length < value.length) reportNonObjects(name, value, report);
  return items;
}

function reportNonObjects(name: string, values: readonly JsonValue[], report: Report): void {
  for (const [index, value] of values.entries()) {
    if (!isJsonObject(value)) report(`${name}.${index}`, 'It is not an object: give one object for each check.');
  }
}

function partsOf(
  category: CheckCategory,
  position: number,
  item: JsonObject,
  name: string,
  report: Report,
): CheckParts[] {
  try {
    const parts = takeApart(category, position, item);
    if (parts.people.some(({ pointer }) => pointer.length > MAX_POINTER_CHARACTERS)) {
      const sentence = `The path to a kyc_session_id is longer than ${MAX_POINTER_CHARACTERS} characters: flatten it.`;
      report(`${name}.${position}`, sentence);
    }
    const unfit = parts.people.find(({ reference }) => reference.length > MAX_REFERENCE_CHARACTERS);
    if (unfit !== undefined) {
      const sentence = `At ${unfit.pointer} it names a session in more than ${MAX_REFERENCE_CHARACTERS} characters: give its id or external_id.`;
      report(`${name}.${position}`, sentence);
    }
    return [parts];
  } catch (error) {
    reportPart(error, `${name}.${position}`, report);
    return [];
  }
}
