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

const DOCUMENT_NAMES: Readonly<Record<string, string>> = {
  P: 'Passport',
  ID: 'Identity Card',
  DL: "Driver's License",
  RP: 'Residence Permit',
  SSC: 'Social Security Card',
  HIC: 'Health Insurance Card',
  WP: 'Work Permit',
  TC: 'Tax Card',
  VISA: 'Visa',
  BC: 'Birth Certificate',
};
const CODES = new Set([...Object.keys(DOCUMENT_NAMES), 'PSC', 'OTHER']);
const CODE_BY_NAME = new Map(Object.entries(DOCUMENT_NAMES).map(([code, name]) => [name.toLowerCase(), code]));
const COMPANY_NAMES = ['company_name', 'legal_name', 'name'] as const;
/** Of ICAO or ISO 3166, with a region or not. Whoever writes something else there may write of a person. */
const COUNTRY_CODE = /^[a-z]{1,3}(-[a-z0-9]{1,6})?$/i;
const MAX_WARNINGS = 100;

/** The facets of a session's checks. */
export function facetsOf(checks: readonly Check[]): SessionFacets {
  const documents = of(checks, 'id_verifications');
  const companies = of(checks, 'registry_checks').map(companyOf);
  const country =
    firstText(documents, 'issuing_state') ??
    firstText(companies, 'country_code') ??
    firstText(companies, 'registry_country') ??
    firstText(companies, 'country');
  const type = firstText(documents, 'document_type');
  return {
    country: country !== null && COUNTRY_CODE.test(country) ? country.toUpperCase() : null,
    documentType: type === null ? null : (knownDocumentCode(type) ?? 'OTHER'),
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
    const otherScripts = document['extra_fields'] ?? null;
    if (isJsonObject(otherScripts)) {
      for (const member of ['full_name_latin', 'full_name_non_latin']) add('name', textOf(otherScripts, member));
    }
    add('document_number', textOf(document, 'document_number'));
    add('document_number', textOf(document, 'personal_number'));
  }
  for (const registry of of(checks, 'registry_checks')) {
    const company = companyOf(registry);
    for (const member of COMPANY_NAMES) add('name', textOf(company, member));
    add('document_number', textOf(company, 'registration_number'));
    add('email', textOf(company, 'email'));
  }
  for (const email of of(checks, 'email_verifications')) add('email', textOf(email, 'email'));
  return facts;
}

/** Didit's code of a document, from its code or its display name; null for any other text. */
export function knownDocumentCode(type: string): string | null {
  const code = type.trim().toUpperCase();
  return CODES.has(code) ? code : (CODE_BY_NAME.get(type.trim().toLowerCase().replaceAll('_', ' ')) ?? null);
}

/** Display name of a document, from its code or its display name; a text that is neither stays as it is. */
export function documentName(type: string): string {
  return DOCUMENT_NAMES[knownDocumentCode(type) ?? ''] ?? type;
}

/** The company of a registry check; some sources state its facts without the inner object. */
export function companyOf(registry: JsonObject): JsonObject {
  const company = registry['company'] ?? null;
  return isJsonObject(company) ? company : registry;
}

/** A company's name. */
export function companyNameOf(company: JsonObject): string | null {
  return COMPANY_NAMES.map((member) => textOf(company, member)).find((name) => name !== null) ?? null;
}

/** The name on an identity document: the whole one, else the first and last names. */
export function fullNameOf(document: JsonObject | undefined): string | null {
  const names = [textOf(document, 'first_name'), textOf(document, 'last_name')].filter((name) => name !== null);
  return textOf(document, 'full_name') ?? (names.length > 0 ? names.join(' ') : null);
}

/** A member's text; null when it is absent, blank or no text. */
export function textOf(item: JsonObject | undefined, member: string): string | null {
  const value = item !== undefined && Object.hasOwn(item, member) ? item[member] : null;
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}

function of(checks: readonly Check[], category: Check['category']): JsonObject[] {
  return checks.filter((check) => check.category === category).map(({ shared }) => shared);
}

function firstText(items: readonly JsonObject[], member: string): string | null {
  return items.map((item) => textOf(item, member)).find((text) => text !== null) ?? null;
}

function risksOf(warnings: JsonValue): string[] {
  if (!Array.isArray(warnings)) return [];
  return warnings.flatMap((warning) => {
    const risk = isJsonObject(warning) ? warning['risk'] : null;
    return typeof risk === 'string' && /^[A-Z0-9_]{1,64}$/.test(risk) ? [risk] : [];
  });
}
