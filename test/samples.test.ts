import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CATEGORY_ALIASES } from '../src/domain/decision-categories.ts';
import type { CheckCategory } from '../src/domain/decision-categories.ts';
import { renderDecision } from '../src/domain/decision-document.ts';
import { readDecision } from '../src/domain/decision-intake.ts';
import type { DecisionContent } from '../src/domain/decision-intake.ts';
import { putTogether } from '../src/domain/decision-parts.ts';
import type { CheckParts } from '../src/domain/decision-parts.ts';
import type { JsonObject } from '../src/domain/json.ts';
import { isFinished, renderStatus } from '../src/domain/session-status.ts';

const FOLDER = new URL('../samples/', import.meta.url);
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
const SAMPLES = FILES.map((name) => ({ name, document: load(name) }));

// The arrays of the two response shapes on the product page.
const PAGE_ARRAYS = {
  user: 'id_verifications liveness_checks face_matches aml_screenings database_validations proof_of_address phone_verifications email_verifications',
  business: 'registry_checks key_people_checks document_verifications aml_screenings questionnaires',
};

describe.each(SAMPLES)('$name', ({ document }) => {
  it('is a finished record that reads without a problem', () => {
    expect(readDecision(document).problems).toEqual([]);
    expect(isFinished(content(document).status)).toBe(true);
  });

  it('is rendered again for its owner as it was taken in', () => {
    const { external_id, ...decision } = document;
    expect(external_id).toMatch(/^sample-/);
    const rendered = render(content(document), document, 'owner');
    expect(Object.fromEntries(Object.keys(decision).map((key) => [key, rendered[key]]))).toEqual(decision);
  });

  it('is rendered for a partner without other people’s data', () => {
    const text = JSON.stringify(render(content(document), document, 'partner'));
    expect(text).not.toMatch(/"matches":\[\{/);
    expect(text).not.toMatch(/verify\.example|issuer\.example|"duplicated_\w+":"/);
    expect(text).not.toMatch(/"(?:user|kyc_session_id|metadata|callback|contact_details|expected_details)":[^n]/);
  });

  it('has something that stays home', () => {
    const { checks, home } = content(document);
    expect(checks.some((check) => check.home.length > 0)).toBe(true);
    expect(home.session_url).not.toBeNull();
    expect(home.contact_details).not.toBeNull();
  });

  it('keeps within the plain keys and sizes that a signed webhook carries', () => {
    expect(JSON.stringify(document).length).toBeLessThan(64 * 1024);
    expect(keysOf(document).filter((key) => !/^[A-Za-z_][A-Za-z0-9_-]*$/.test(key))).toEqual([]);
  });
});

describe('the samples together', () => {
  it.each(['user', 'business'] as const)('have content in every array of the %s shape on the product page', (kind) => {
    for (const name of PAGE_ARRAYS[kind].split(' ')) {
      const category = Object.entries(CATEGORY_ALIASES).find(([alias]) => alias === name)?.[1] ?? name;
      expect(
        SAMPLES.filter(({ document }) => content(document).kind === kind).some(({ document }) =>
          content(document).checks.some((check) => check.category === category),
        ),
        `${kind} ${name}`,
      ).toBe(true);
    }
  });

  it('have different external ids', () => {
    expect(new Set(SAMPLES.map(({ document }) => document['external_id'])).size).toBe(SAMPLES.length);
  });

  it('include every person that the approved business refers to', () => {
    const known = new Set(SAMPLES.map(({ document }) => document['external_id']));
    const people = content(load('kyb-approved.json')).checks.flatMap((check) => check.people);
    expect(new Set(people.map(({ reference }) => reference))).toEqual(
      new Set(['sample-kyc-director', 'sample-kyc-owner']),
    );
    expect(people.filter(({ reference }) => !known.has(reference))).toEqual([]);
  });

  it('include non-Latin text and hosted links of people', () => {
    expect(JSON.stringify(load('kyc-approved-non-latin.json'))).toMatch(/"full_name_non_latin":"\p{Script=Han}/u);
    expect(JSON.stringify(load('kyb-approved.json'))).toMatch(/"kyc_session_url":"https:/);
  });
});

function load(name: string): JsonObject {
  return JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as JsonObject;
}

function content(document: JsonObject): DecisionContent {
  const reading = readDecision(document);
  if (!reading.ok) throw new Error(JSON.stringify(reading.problems));
  return reading;
}

function render(read: DecisionContent, document: JsonObject, reader: 'owner' | 'partner'): JsonObject {
  const checks = new Map<CheckCategory, JsonObject[]>();
  for (const check of read.checks) {
    checks.set(check.category, [...(checks.get(check.category) ?? []), view(check, reader)]);
  }
  const facts = {
    session_id: document['session_id'] as string,
    session_kind: read.kind,
    session_number: Number(document['session_number']),
    status: renderStatus(read.kind, read.status),
    environment: read.environment ?? 'live',
    workflow_id: document['workflow_id'] as string,
    features: read.features,
    vendor_data: read.vendor_data,
    created_at: read.created_at ?? '',
    expires_at: read.expires_at,
    shared_from_session: null,
    nfc_skip_reason: read.nfc_skip_reason,
  };
  return renderDecision(facts, reader === 'owner' ? read.home : null, checks);
}

function view({ shared, home, people }: CheckParts, reader: 'owner' | 'partner'): JsonObject {
  if (reader === 'partner') return putTogether({ shared });
  return putTogether({
    shared,
    home,
    people: people.map(({ pointer, reference }) => ({ pointer, sessionId: reference })),
  });
}

function keysOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const members = Object.values(value).flatMap(keysOf);
  return Array.isArray(value) ? members : [...Object.keys(value), ...members];
}
