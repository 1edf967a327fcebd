import type { SessionKind } from '../../domain/decision-categories.ts';
import type { Acceptance, Ending, OnboardingStatus, Step } from '../../domain/onboarding.ts';
import type { ImportChoice } from './shares.ts';

export interface OnboardingStore {
  insert(onboarding: {
    tokenId: string;
    sessionId: string;
    sessionKind: SessionKind;
    issuerId: string;
    partnerId: string;
    ttlSeconds: number;
  }): void;
  /** Locks the row: everything that writes a step, an acknowledgement or a delivery of it does so first, or deadlocks. */
  lock(tokenId: string): void;
  /** Moves the status forward, never backwards and never past an ending. */
  advance(tokenId: string, status: OnboardingStatus): void;
  setAcceptance(tokenId: string, acceptance: Acceptance): void;
  end(tokenId: string, status: Ending, reason: string | null, importedSessionId: string | null): void;
  /** Begins a step, or begins it again with a higher attempt number. */
  beginStep(tokenId: string, step: Step, attempts: number): void;
  /** Has a step that ended go on. */
  reopenStep(tokenId: string, step: Step): void;
  /** Ends a step with its result; begins it at the same instant when it never began. */
  endStep(tokenId: string, step: Step, result: string, attempts?: number): void;
  insertAcknowledgement(row: {
    acknowledgementId: string;
    tokenId: string;
    partnerId: string;
    accept: boolean;
    choice: ImportChoice;
    reason: string | null;
    bodySha256: Buffer;
    state: 'unspent' | 'refused';
  }): void;
  /** Takes the unspent acknowledgement out of play. */
  settleAcknowledgement(
    tokenId: string,
    state: 'spent' | 'redeemed' | 'refused' | 'withdrawn',
    why?: { code: string; field: string | null },
  ): void;
}
