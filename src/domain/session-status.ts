import type { SessionKind } from './decision-categories.ts';

/** The ten states of a session, as `user` sessions spell them (contract/didit-api.md 2.9). */
export const SESSION_STATUSES = [
  'Not Started',
  'In Progress',
  'Awaiting User',
  'In Review',
  'Approved',
  'Declined',
  'Resubmitted',
  'Expired',
  'Kyc Expired',
  'Abandoned',
] as const;

export type SessionStatus = (typeof SESSION_STATUSES)[number];

/** The states in which a session may be shared. */
export const FINISHED_STATUSES = ['Approved', 'Declined', 'In Review'] as const satisfies readonly SessionStatus[];

export type FinishedStatus = (typeof FINISHED_STATUSES)[number];

/** How a business session's status is written: `upper` is UPPER_SNAKE, `title` is Title Case. */
export type BusinessStatusCase = 'upper' | 'title';

const BY_SPELLING: ReadonlyMap<string, SessionStatus> = new Map(
  SESSION_STATUSES.flatMap((status) => [
    [status, status],
    [upperSnake(status), status],
  ]),
);

/** Reads `In Review` or `IN_REVIEW`, spelt exactly so; anything else is null. */
export function parseStatus(text: string): SessionStatus | null {
  return BY_SPELLING.get(text) ?? null;
}

/** True when a session in this state may be shared. */
export function isFinished(status: SessionStatus): status is FinishedStatus {
  return FINISHED_STATUSES.some((finished) => finished === status);
}

/** Writes a status as clients expect it: only a business session's follows `businessCase` (contract row 7). */
export function renderStatus(
  kind: SessionKind,
  status: SessionStatus,
  businessCase: BusinessStatusCase = 'upper',
): string {
  return kind === 'business' && businessCase === 'upper' ? upperSnake(status) : status;
}

function upperSnake(status: SessionStatus): string {
  return status.toUpperCase().replaceAll(' ', '_');
}
