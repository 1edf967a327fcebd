import type { Acceptance, OnboardingStatus, Step } from '../domain/onboarding.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import { reasonContext } from './onboardings.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** An onboarding as its two sides may read it; times are ISO 8601. */
export interface OnboardingRow {
  readonly tokenId: string;
  readonly status: OnboardingStatus;
  /** The partner's own words of a refusal, else the reason's code. */
  readonly reason: string | null;
  readonly sessionKind: SessionKind;
  readonly issuerId: string;
  readonly partnerId: string;
  /** The issuer's session. */
  readonly sessionId: string;
  readonly importedSessionId: string | null;
  readonly acceptance: Acceptance | null;
  readonly createdAt: string;
  readonly endedAt: string | null;
  /** Null until minted. */
  readonly expiresAt: string | null;
  readonly acknowledgement: {
    readonly accept: boolean;
    readonly state: 'unspent' | 'spent' | 'redeemed' | 'refused' | 'withdrawn';
    readonly reason: string | null;
    readonly code: string | null;
    readonly field: string | null;
  } | null;
  readonly steps: readonly OnboardingStepRow[];
}

export interface OnboardingStepRow {
  readonly step: Step;
  readonly started_at: string;
  readonly finished_at: string | null;
  /** Of `deliver`: every attempt at every destination. */
  readonly attempts: number;
  readonly result: string | null;
}

/** Which onboardings a list holds; the reader is one of the two sides of each. */
export interface OnboardingFilter {
  readonly status?: OnboardingStatus | undefined;
  readonly sessionKind?: SessionKind | undefined;
  /** The reader's own role; both without it. */
  readonly role?: 'issuer' | 'partner' | undefined;
}

const ATTEMPTS = `case when s.step = 'deliver' then coalesce(nullif((
    select count(*) from event e join delivery d on d.event_id = e.event_id
      join delivery_attempt a on a.delivery_id = d.delivery_id
    where e.token_id = o.token_id and e.type = 'share.received'), 0), s.attempts) else s.attempts end`;

/** An acknowledgement's own words, sealed, in base64. */
interface SealedWords {
  readonly id: string;
  readonly sealed: string | null;
}

type StoredOnboarding = Omit<OnboardingRow, 'acknowledgement'> & {
  readonly refusal: SealedWords | null;
  readonly acknowledgement: (Omit<NonNullable<OnboardingRow['acknowledgement']>, 'reason'> & SealedWords) | null;
};

const WORDS = `'id', a.acknowledgement_id, 'sealed', encode(a.reason, 'base64')`;

function select(from: string): string {
  return `select o.token_id as "tokenId", o.status, o.reason, refusal.words as refusal,
      o.session_kind as "sessionKind", o.issuer_id as "issuerId", o.partner_id as "partnerId",
      o.session_id as "sessionId", o.imported_session_id as "importedSessionId", o.acceptance,
      ${isoColumn('o.created_at')} as "createdAt", ${isoColumn('o.ended_at')} as "endedAt",
      ${isoColumn('t.expires_at')} as "expiresAt", latest.acknowledgement, coalesce(steps.list, '[]') as steps
    from ${from} o
    left join share_token t on t.token_id = o.token_id
    left join lateral (
      select json_build_object(${WORDS}) as words from acknowledgement a where a.token_id = o.token_id and not a.accept
      order by a.created_at desc limit 1
    ) refusal on o.status = 'refused'
    left join lateral (
      select json_build_object('accept', a.accept, 'state', a.state, 'code', a.spent_code, 'field', a.spent_field,
        ${WORDS}) as acknowledgement
      from acknowledgement a where a.token_id = o.token_id order by a.created_at desc limit 1
    ) latest on true
    left join lateral (
      select json_agg(json_build_object('step', s.step, 'started_at', ${isoColumn('s.started_at')},
        'finished_at', ${isoColumn('s.finished_at')}, 'attempts', ${ATTEMPTS}, 'result', s.result)
        order by array_position(array['mint', 'deliver', 'wait', 'import', 'notify'], s.step)) as list
      from onboarding_step s where s.token_id = o.token_id
    ) steps on true`;
}

const ONE = `${select('onboarding')} where o.token_id = $1 and $2 in (o.issuer_id, o.partner_id)`;

/** One onboarding, for its issuer or its partner; null for everybody else. */
export async function readOnboarding(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  tokenId: string,
): Promise<OnboardingRow | null> {
  const [row] = await tx.query<StoredOnboarding>(ONE, [tokenId, applicationId]);
  return row === undefined ? null : opened(sealer, row);
}

function opened(sealer: PayloadSealer, { refusal, acknowledgement, ...row }: StoredOnboarding): OnboardingRow {
  const open = ({ id, sealed }: SealedWords): string | null => {
    if (sealed === null) return null;
    const words = sealer.openPayload(reasonContext(row.partnerId, id), Buffer.from(sealed, 'base64'));
    if (typeof words !== 'string') throw new Error('a reason is stored as text');
    return words;
  };
  const latest = (stored: NonNullable<StoredOnboarding['acknowledgement']>): OnboardingRow['acknowledgement'] => {
    const { accept, state, code, field } = stored;
    return { accept, state, reason: open(stored), code, field };
  };
  return {
    ...row,
    reason: (refusal === null ? null : open(refusal)) ?? row.reason,
    acknowledgement: acknowledgement === null ? null : latest(acknowledgement),
  };
}

// One branch per role, each along its own index; no application is both sides of one onboarding.
const MINE = ['issuer', 'partner'].map(
  (role) => `from onboarding where ${role}_id = $1 and ($2::text is null or $2 = '${role}')
    and ($3::text is null or status = $3) and ($4::text is null or session_kind = $4)`,
);
const PAGE = `${select(
  `(select * from (${MINE.map((from) => `(select * ${from} order by token_id desc limit $5::int + $6::int)`).join(' union all ')})
    both_roles order by token_id desc limit $5::int offset $6::int)`,
)} order by o.token_id desc`;
const COUNT = `select (${MINE.map((from) => `(select count(*) ${from})`).join(' + ')})::float8 as count`;

/** A page of an application's onboardings, newest first, and how many there are. */
export async function listOnboardings(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  filter: OnboardingFilter,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: OnboardingRow[] }> {
  const values = [applicationId, filter.role ?? null, filter.status ?? null, filter.sessionKind ?? null];
  const [rows, [total]] = await Promise.all([
    // Planned for the filters that are named.
    tx.query<StoredOnboarding>(PAGE, [...values, page.limit, page.offset], 'anew'),
    tx.query<{ count: number }>(COUNT, values, 'anew'),
  ]);
  return { count: total?.count ?? 0, rows: rows.map((row) => opened(sealer, row)) };
}
