import { setTimeout as pause } from 'node:timers/promises';
import { WorkflowFailedError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import { CancelledFailure, TerminatedFailure } from '@temporalio/common';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import type { Pool } from 'pg';
import { expect } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Ending, OnboardingResult } from '../../src/domain/onboarding.ts';
import { ONBOARDING_STATUS_QUERY } from '../../src/domain/temporal-names.ts';
import type { OnboardingView } from '../../src/workflows/onboarding-result.ts';
import {
  HANDOFF_EXPIRES_AT,
  HANDOFF_ISSUER,
  HANDOFF_PARTNER,
  HANDOFF_SESSION_KIND,
  HANDOFF_STATUS,
} from '../../src/workflows/search-attributes.ts';
import type { Brand, Brands } from './brands.ts';

/** How an onboarding is expected to have ended. */
export interface ExpectedEnding {
  readonly status: Ending;
  /** As the run and the rows have it; default none. */
  readonly reason?: string | null;
  /** As the API shows it, when that differs: the partner's own words. */
  readonly shownReason?: string;
}

/** An onboarding that has ended, wherever it shows. */
export interface EndedOnboarding {
  readonly history: History;
  readonly issuerView: JsonObject;
  readonly partnerView: JsonObject;
  /** The partner's new session; empty unless imported. */
  readonly importedSessionId: string;
}

/** What the checks look at. */
export interface RunChecks {
  readonly temporal: Client;
  readonly pool: Pool;
  readonly brands: Brands;
}

/** Steps of an onboarding as an answer of the API has them, by name. */
export function stepsOf(view: JsonObject): Record<string, JsonObject> {
  const steps = view['steps'] as readonly JsonObject[];
  return Object.fromEntries(steps.map((step) => [String(step['step']), step]));
}

/** Waits until an onboarding has ended by its row. */
export async function untilEnded(brands: Brands, as: Brand, tokenId: string): Promise<JsonObject> {
  for (;;) {
    const view = await brands.read(as, tokenId);
    if (view['ended_at'] !== null) return view;
    await pause(50);
  }
}

/** Waits for a run's end in whatever way it comes: its result, or `null` when it was cancelled or terminated. */
export async function resultOfRun(temporal: Client, tokenId: string): Promise<OnboardingResult | null> {
  try {
    return (await temporal.workflow.getHandle(tokenId).result()) as OnboardingResult;
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    if (error.cause instanceof CancelledFailure || error.cause instanceof TerminatedFailure) return null;
    throw error;
  }
}

/** No workflow task may have failed, but for a message that came while one was completing. */
export function expectNoFailedTask(history: History): void {
  const unhandledCommand = 1;
  const failures = (history.events ?? []).flatMap(({ workflowTaskFailedEventAttributes: failed }) =>
    failed == null || Number(failed.cause) === unhandledCommand ? [] : [failed],
  );
  expect(failures).toEqual([]);
}

/** Exactly one of each: event per type and application; redemption, import and its entity when imported, else none. */
export async function expectOneOfEach(pool: Pool, tokenId: string, status: string): Promise<void> {
  const { rows: events } = await pool.query<{ type: string; count: number }>(
    `select type || ' ' || application_id as type, count(*)::int as count from event where token_id = $1
       and dedupe_key not like '%:notice' and sequence is not null group by 1`,
    [tokenId],
  );
  expect(events.filter(({ count }) => count !== 1)).toEqual([]);
  const endings = events
    .map(({ type }) => type.split(' ')[0])
    .filter((type) => /^share\.(?!minted|received)/.test(type ?? ''));
  expect(new Set(endings)).toEqual(new Set([`share.${status}`]));
  const { rows: counts } = await pool.query(
    `select (select count(*)::int from onboarding where token_id = $1) as onboardings,
       (select count(*)::int from redemption where token_id = $1) as redemptions,
       (select count(*)::int from session s join session_provenance p on p.session_id = s.session_id
        where p.token_id = $1 and p.hop = 1 and s.parent_import is null) as sessions,
       (select count(*)::int from share_token where token_id = $1 and closed_at is null) as open_tokens,
       (select count(*)::int from acknowledgement where token_id = $1 and state = 'unspent') as unspent`,
    [tokenId],
  );
  const imports = status === 'imported' ? 1 : 0;
  expect(counts).toEqual([
    { onboardings: 1, redemptions: imports, sessions: imports, open_tokens: imports, unspent: 0 },
  ]);
}

/** Waits for a run's end, and asserts its ending wherever it shows: run, rows, both sides' API, search attributes, query. */
export async function expectEnding(
  { temporal, pool, brands }: RunChecks,
  { issuer, partner, tokenId }: { readonly issuer: Brand; readonly partner: Brand; readonly tokenId: string },
  { status, reason = null, shownReason }: ExpectedEnding,
): Promise<EndedOnboarding> {
  await untilEnded(brands, issuer, tokenId);
  const result = await resultOfRun(temporal, tokenId);
  const handle = temporal.workflow.getHandle(tokenId);
  const [issuerView, partnerView, history, description, view] = await Promise.all([
    brands.read(issuer, tokenId),
    brands.read(partner, tokenId),
    handle.fetchHistory(),
    handle.describe(),
    handle.query<OnboardingView>(ONBOARDING_STATUS_QUERY),
  ]);
  const imported = issuerView['imported_session_id'];
  expect(result).toEqual({ status, reason, ...(status === 'imported' && { sessionId: imported }) });
  expectNoFailedTask(history);
  expectAttributes(description, issuerView);
  expect(view).toMatchObject({ tokenId, status, expiresAt: secondsOf(issuerView['expires_at']) });
  expectViews(issuerView, partnerView, { status, reason: shownReason ?? reason });
  await expectOneOfEach(pool, tokenId, status);
  return { history, issuerView, partnerView, importedSessionId: typeof imported === 'string' ? imported : '' };
}

function expectAttributes(description: WorkflowExecutionDescription, view: JsonObject): void {
  expect(description.status.name).toBe('COMPLETED');
  const attributes = description.typedSearchAttributes;
  expect(attributes.get(HANDOFF_STATUS)).toBe(view['status']);
  expect(attributes.get(HANDOFF_ISSUER)).toBe(view['issuer_application_id']);
  expect(attributes.get(HANDOFF_PARTNER)).toBe(view['partner_application_id']);
  expect(attributes.get(HANDOFF_SESSION_KIND)).toBe(view['session_kind']);
  expect(attributes.get(HANDOFF_EXPIRES_AT)?.toISOString() ?? null).toBe(secondsOf(view['expires_at']));
}

function expectViews(issuerView: JsonObject, partnerView: JsonObject, shown: JsonObject): void {
  const { session_id: source, ...shared } = issuerView;
  expect(source).toEqual(expect.any(String));
  expect(partnerView).toEqual({ ...shared, session_id: null });
  expect(issuerView).toMatchObject({ ...shown, ended_at: expect.any(String) });
  expectFinishedSteps(issuerView);
  expect(stepsOf(issuerView)['notify']).toMatchObject({ result: 'notified' });
}

/** An onboarding that has ended has no step under way. */
export function expectFinishedSteps(view: JsonObject): void {
  for (const step of Object.values(stepsOf(view))) {
    expect(step).toMatchObject({ started_at: expect.any(String), finished_at: expect.any(String) });
    expect(step['result']).toEqual(expect.any(String));
    expect(Number(step['attempts'])).toBeGreaterThan(0);
    expect(Date.parse(String(step['finished_at']))).toBeGreaterThanOrEqual(Date.parse(String(step['started_at'])));
  }
}

/** A time as the run has it, in whole seconds and milliseconds' notation. */
function secondsOf(time: unknown): string | null {
  return typeof time === 'string' ? new Date(time).toISOString() : null;
}
