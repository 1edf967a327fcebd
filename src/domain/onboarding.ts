/** The business endings of an onboarding. Every one completes its Temporal run; none fails it. */
export const ENDINGS = ['imported', 'refused', 'revoked', 'expired', 'undeliverable', 'rejected'] as const;
export type Ending = (typeof ENDINGS)[number];

/** Every ending that closes the token; `imported` redeems it instead. */
export type ClosedEnding = Exclude<Ending, 'imported'>;

/** `status` of an onboarding, in the order in which a run passes them; a status never goes backwards. */
export const ONBOARDING_STATUSES = ['minting', 'delivering', 'waiting', 'importing', 'notifying', ...ENDINGS] as const;
export type OnboardingStatus = (typeof ONBOARDING_STATUSES)[number];

/** The named steps of the story, as `GET /v1/onboardings/{token_id}/` shows them. */
export const STEPS = ['mint', 'deliver', 'wait', 'import', 'notify'] as const;
export type Step = (typeof STEPS)[number];

/** Who decides that a partner takes a share: its word, its own import call, or nobody (a sister brand). */
export const ACCEPTANCES = ['acknowledge', 'redeem', 'automatic'] as const;
export type Acceptance = (typeof ACCEPTANCES)[number];

/** How an import's `vendor_data` follows from the source's when the partner names none. */
export const VENDOR_DATA_RULES = ['prefixed', 'same'] as const;
export type VendorDataRule = (typeof VENDOR_DATA_RULES)[number];

/** Reasons of `undeliverable`. */
export const UNDELIVERABLE_REASONS = ['gone', 'blocked_address', 'no_destination', 'aborted', 'token_expired'] as const;
export type UndeliverableReason = (typeof UNDELIVERABLE_REASONS)[number];

/**
 * The one answer that every look at a token and every conditional close returns (`semantics.md`, "The one answer").
 * `remainingMs` is at least 1, by the database's clock.
 */
export type ShareAnswer =
  | { readonly state: 'minting' }
  | { readonly state: 'open'; readonly remainingMs: number }
  | { readonly state: 'acknowledged'; readonly acknowledgementId: string }
  | { readonly state: 'refused' }
  | { readonly state: 'redeemed'; readonly sessionId: string }
  | { readonly state: 'revoked'; readonly reason: string | null }
  | { readonly state: 'closed'; readonly as: 'undeliverable' | 'rejected'; readonly reason: string }
  | { readonly state: 'expired' };

/** Why a close is asked for: the ending it would record, with its reason. */
export type CloseRequest =
  | { readonly as: 'expired' }
  | { readonly as: 'revoked'; readonly reason: 'cancelled' | 'run_terminated' | 'run_failed' }
  | { readonly as: 'undeliverable'; readonly reason: string }
  | { readonly as: 'rejected'; readonly reason: string };

/** What the run learns from its mint: the token is out, or the onboarding had ended before. */
export type MintResult =
  | {
      readonly state: 'minted';
      readonly acceptance: Acceptance;
      /** At least 1, by the database's clock. */
      readonly remainingMs: number;
      /** ISO 8601. */
      readonly expiresAt: string;
    }
  | { readonly state: 'ended'; readonly answer: ShareAnswer };

/** Result of a completed run: ids and enums only. */
export interface OnboardingResult {
  readonly status: Ending;
  readonly reason: string | null;
  /** The partner's new session (UUID), when `imported`. */
  readonly sessionId?: string;
}
