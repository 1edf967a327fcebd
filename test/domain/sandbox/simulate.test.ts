import { describe, expect, it } from 'vitest';
import { canonicalJson, canonicalProblem } from '../../../src/crypto/canonical-json.ts';
import { CHECK_CATEGORIES } from '../../../src/domain/decision-categories.ts';
import { takeApart } from '../../../src/domain/decision-parts.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import { replaceMedia } from '../../../src/domain/media-references.ts';
import { diceOf } from '../../../src/domain/sandbox/dice.ts';
import { checksOfFeatures, SANDBOX_SCENARIOS, type FeatureStatus } from '../../../src/domain/sandbox/scenarios.ts';
import { simulateBusiness, simulateUser, type SimulatedItems } from '../../../src/domain/sandbox/simulate.ts';
import { facetsOf, searchFactsOf } from '../../../src/domain/session-facts.ts';
import { WORKFLOW_FEATURES } from '../../../src/domain/verification-workflow.ts';
import { parseStatus } from '../../../src/domain/session-status.ts';

const NOW = '2026-11-23T09:15:00.123456Z';
const SEEDS = Array.from({ length: 24 }, (_, n) => `0199a3c4-1111-7aaa-8bbb-${String(n).padStart(12, '0')}`);
const everyCheck = (kind: 'user' | 'business') => checksOfFeatures(kind, WORKFLOW_FEATURES);
const statusesOf = (items: SimulatedItems) => [...items.values()].flat().map((item) => item['status'] as FeatureStatus);
const plain = (items: SimulatedItems): JsonObject =>
  Object.fromEntries([...items].map(([name, list]) => [name, [...list]]));

function simulate(kind: 'user' | 'business', seed: string, slug: string, checks = everyCheck(kind)): SimulatedItems[] {
  const status = SANDBOX_SCENARIOS.find((scenario) => scenario.slug === slug)?.status ?? 'Approved';
  const order = { sessionId: seed, status, checks, now: NOW };
  if (kind === 'user') return [simulateUser(order)];
  const people = [1, 2, 3].map((n) => `${seed.slice(0, -2)}${n}a`);
  const { items, people: made } = simulateBusiness(order, people);
  return [items, ...made.map((person) => person.items)];
}

describe.each(['user', 'business'] as const)('simulated content of a %s', (kind) => {
  it.each(SANDBOX_SCENARIOS)('of $slug can be signed, parted and searched, whoever it is about', ({ slug, status }) => {
    for (const seed of SEEDS) {
      const all = simulate(kind, seed, slug);
      expect(all).toEqual(simulate(kind, seed, slug));
      for (const items of all) {
        expect(canonicalProblem(plain(items))).toBeNull();
        expect(canonicalJson(plain(items)).length).toBeLessThan(40_000);
        const parts = [...items].flatMap(([name, list]) => list.map((item, at) => takeApart(name, at, item)));
        replaceMedia(parts, (text) => {
          expect(text).toMatch(/^data:image\/png;base64,[A-Za-z0-9+/]+=*$/);
          return null;
        });
        if (isFull(status)) {
          expect(searchFactsOf(parts).length).toBeGreaterThan(0);
          expect(facetsOf(parts).country).toMatch(/^[A-Z]{2,3}$/);
        }
      }
    }
  });

  it('has every array of its kind when all is well', () => {
    const [items = new Map()] = simulate(kind, SEEDS[0] ?? '', 'approved');
    const known = CHECK_CATEGORIES[kind].filter((category) => category !== 'reviews');
    expect(new Set(items.keys())).toEqual(new Set(known));
    expect(new Set(statusesOf(items))).toEqual(new Set(['Approved']));
  });

  it('has one thing wrong in a bad ending, and different ones for different sessions', () => {
    for (const [slug, bad] of [
      ['declined', ['Declined']],
      ['in_review', ['In Review']],
      ['resubmitted', ['Resub Requested', 'Declined']],
    ] as const) {
      const troubled = SEEDS.map((seed) => {
        const [items = new Map()] = simulate(kind, seed, slug);
        const wrong = [...items].filter(([, [item]]) => item?.['status'] !== 'Approved');
        expect(wrong).toHaveLength(1);
        expect(bad).toContain(wrong[0]?.[1][0]?.['status']);
        return wrong[0]?.[0];
      });
      expect(new Set(troubled).size).toBeGreaterThan(3);
    }
  });

  it('stops where the customer stopped', () => {
    const stopped = (slug: string) => statusesOf(simulate(kind, SEEDS[1] ?? '', slug)[0] ?? new Map());
    expect(stopped('expired')).toEqual([]);
    expect(stopped('abandoned')).toEqual(['Approved', 'Not Finished']);
    expect(stopped('in_progress')).toEqual(['Approved', 'Not Finished']);
    expect(stopped('awaiting_user').filter((status) => status === 'Not Finished')).toHaveLength(1);
  });
});

const isFull = (status: string) => ['Approved', 'Declined', 'In Review', 'Resubmitted', 'Kyc Expired'].includes(status);

describe('the people of a simulated business', () => {
  const business = (status: string, seed: string) =>
    simulateBusiness(
      { sessionId: seed, status: parseStatus(status) ?? 'Approved', checks: everyCheck('business'), now: NOW },
      ['a', 'b', 'c'].map((letter) => `${seed.slice(0, -1)}${letter}`),
    );
  const named = (items: SimulatedItems) => {
    const registry = items.get('key_people_checks')?.[0]?.['registry'] as Record<string, JsonObject[]>;
    return [...(registry['officers'] ?? []), ...(registry['beneficial_owners'] ?? [])];
  };

  it('have a session each, which every place that names them names', () => {
    const { items, people } = business('Approved', SEEDS[0] ?? '');
    const sessions = new Map(people.map(({ sessionId, items: own }) => [sessionId, own.get('id_verifications')?.[0]]));
    expect(sessions.size).toBe(3);
    for (const { name, kyc_session_id } of named(items)) {
      expect(sessions.get(String(kyc_session_id))?.['full_name']).toBe(name);
    }
    expect(new Set(named(items).map(({ kyc_session_id }) => kyc_session_id)).size).toBe(3);
  });

  it('decide over the business when the trouble is with them', () => {
    const seed = SEEDS.find(
      (one) => business('Declined', one).items.get('key_people_checks')?.[0]?.['status'] === 'Declined',
    );
    const { people } = business('Declined', seed ?? '');
    expect(people.map(({ status }) => status)).toEqual(['Declined', 'Approved', 'Approved']);
  });

  it('have none while the business waits for them', () => {
    const { items, people } = business('Awaiting User', SEEDS[0] ?? '');
    expect(people).toEqual([]);
    expect(named(items).map(({ kyc_session_id, kyc_status }) => [kyc_session_id, kyc_status])).toContainEqual([
      null,
      'Not Started',
    ]);
  });
});

it('checks of workflows keep their order, and fall back to a usual set', () => {
  expect(checksOfFeatures('user', ['LIVENESS', 'OCR', 'AGE_ESTIMATION', 'OCR', 'KYB_REGISTRY', 'constructor'])).toEqual(
    ['liveness_checks', 'id_verifications'],
  );
  expect(checksOfFeatures('user', [])).toContain('face_matches');
  expect(checksOfFeatures('business', ['AGE_ESTIMATION'])).toContain('key_people_checks');
});

it('dice fall evenly, always the same way, and make well-formed UUIDs', () => {
  const dice = diceOf('seed');
  const counts = [0, 0, 0, 0, 0, 0];
  for (let n = 0; n < 6000; n += 1) {
    const side = dice.below(6);
    counts[side] = (counts[side] ?? 0) + 1;
  }
  for (const count of counts) expect(count).toBeGreaterThan(700);
  expect(diceOf('seed').digits(20)).toBe(diceOf('seed').digits(20));
  expect(diceOf('seed').digits(20)).not.toBe(diceOf('seee').digits(20));
  expect(dice.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(() => dice.pick([])).toThrow(RangeError);
});
