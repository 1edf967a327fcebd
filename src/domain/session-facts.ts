import type { CheckCategory } from './decision-categories.ts';
import type { CheckParts } from './decision-parts.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { isJsonObject } from './json.ts';

/** What lists of sessions are filtered by: codes only, no personal datum. */
export interface SessionFacets {
  readonly country: string | null;
  /** Didit's code: `P ID DL RP SSC HIC WP TC VISA PSC BC OTHER`. */
  readonly documentType: string | null;
  readonly warnings: readonly string[];
}

/** An exact value that a session is found by, before it is hashed. */
export interface SearchFact {
  readonly field: 'name' | 'email' | 'document_number';
  readonly value: string;
}

/** The arrays that {@link searchFactsOf} looks into. */
export const SEARCHED_CATEGORIES: readonly CheckCategory[] = [
  'id_verifications',
  'registry_checks',
  'email_verifications',
];

type Check = Pick<CheckParts, 'category' | 'shared'>;

const DOCUMENT_CODES: Readonly<Record<string, string>> = {
  passport: 'P',
  'identity card': 'ID',
  "driver's license": 'DL',
  'residence permit': 'RP',
  'social security card': 'SSC',
  'health insurance card': 'HIC',
  'work permit': 'WP',
  'tax card': 'TC',
  visa: 'VISA',
  'birth certificate': 'BC',
};
const CODES = new Set([...Object.values(DOCUMENT_CODES), 'PSC', 'OTHER']);
const MAX_WARNINGS = 100;

/** The facets of a session's checks. */
export function facetsOf(checks: readonly Check[]): SessionFacets {
  const [document] = of(checks, 'id_verifications');
  const [registry] = of(checks, 'registry_checks');
  const country =
    textOf(document, 'issuing_state') ??
    textOf(registry, 'country_code') ??
    textOf(registry, 'registry_country') ??
    textOf(registry, 'country');
  const type = textOf(document, 'document_type');
  return {
    country: country !== null && country.length <= 10 ? country.toUpperCase() : null,
    documentType: type === null ? null : documentCode(type),
    warnings: [...new Set(checks.flatMap(({ shared }) => risksOf(shared['warnings'] ?? null)))].slice(0, MAX_WARNINGS),
  };
}

/** What a session is searched by: people's and companies' names, e-mail addresses, document and registration numbers. */
export function searchFactsOf(checks: readonly Check[]): SearchFact[] {
  const facts: SearchFact[] = [];
  const add = (field: SearchFact['field'], value: string | null) => {
    if (value !== null) facts.push({ field, value });
  };
  for (const document of of(checks, 'id_verifications')) {
    const [first, last] = [textOf(document, 'first_name'), textOf(document, 'last_name')];
    add('name', textOf(document, 'full_name'));
    add('name', first);
    add('name', last);
    if (first !== null && last !== null) add('name', `${first} ${last}`);
    add('document_number', textOf(document, 'document_number'));
    add('document_number', textOf(document, 'personal_number'));
  }
  for (const registry of of(checks, 'registry_checks')) {
    const company = registry['company'];
    const inner = isJsonObject(company ?? null) ? (company as JsonObject) : registry;
    for (const member of ['legal_name', 'company_name', 'name']) add('name', textOf(inner, member));
    add('document_number', textOf(inner, 'registration_number'));
  }
  for (const email of of(checks, 'email_verifications')) add('email', textOf(email, 'email'));
  return facts;
}

/** Didit's code of a document, from its code or its display name. */
export function documentCode(type: string): string {
  if (CODES.has(type)) return type;
  return DOCUMENT_CODES[type.toLowerCase()] ?? 'OTHER';
}

function of(checks: readonly Check[], category: Check['category']): JsonObject[] {
  return checks.filter((check) => check.category === category).map(({ shared }) => shared);
}

function textOf(item: JsonObject | undefined, member: string): string | null {
  const value = item?.[member];
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}

function risksOf(warnings: JsonValue): string[] {
  if (!Array.isArray(warnings)) return [];
  return warnings.flatMap((warning) => {
    const risk = isJsonObject(warning) ? warning['risk'] : null;
    return typeof risk === 'string' && /^[A-Z0-9_]{1,64}$/.test(risk) ? [risk] : [];
  });
}
