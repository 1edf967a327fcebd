import type { SessionKind } from '../domain/decision-categories.ts';
import type { ActorKind } from '../domain/events.ts';
import type { Acceptance, ClosedEnding, OnboardingStatus, VendorDataRule } from '../domain/onboarding.ts';
import type { SessionStatus } from '../domain/session-status.ts';
import type { Environment } from '../sharing/ports.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/*
 * What an auditor asks of one session: each read for one of the application's own, living or deleted. Times are ISO 8601.
 * Run them in the crossing `audit`, which also sees the names of applications that the reader is connected with.
 */

/** Another application, named where the reader has a connection with it. */
export interface NamedApplication {
  readonly application_id: string;
  readonly name: string | null;
}

export interface TrailActor {
  readonly kind: ActorKind;
  readonly id: string | null;
}

/** A session as it stands. */
export interface TrailSession {
  readonly session_kind: SessionKind;
  readonly environment: Environment;
  readonly status: SessionStatus;
  /** That it was made, or imported, with. */
  readonly first_status: SessionStatus;
  readonly workflow_id: string | null;
  readonly workflow_version: number;
  /** The business import that brought this person along. */
  readonly parent_import: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface TrailHop {
  readonly hop: number;
  readonly source_session_id: string;
  readonly application: NamedApplication;
  readonly token_id: string;
  readonly imported_at: string;
}

export interface TrailToken {
  readonly token_id: string;
  readonly kid: string;
  readonly issued_at: string;
  readonly expires_at: string;
  readonly closed_at: string | null;
  readonly closed_as: ClosedEnding | null;
  readonly closed_reason: string | null;
}

export interface TrailAgreement {
  readonly reference: string;
  readonly document_sha256: string;
  readonly legal_basis: string;
  readonly purpose: string;
  readonly signed_on: string;
  readonly valid_until: string | null;
  readonly in_force: boolean;
}

/** The import that made a session: what is left of it when the session is deleted, too. */
export interface TrailImport {
  readonly issuer: NamedApplication;
  readonly source_session_id: string;
  readonly token: TrailToken;
  readonly redeemed_at: string;
  /** When the import was deleted. */
  readonly deleted_at: string | null;
  readonly trust_review: boolean;
  readonly imported_by: TrailActor | null;
  readonly acknowledgements: readonly {
    readonly acknowledgement_id: string;
    readonly accept: boolean;
    readonly state: 'unspent' | 'spent' | 'redeemed' | 'refused' | 'withdrawn';
    readonly spent_code: string | null;
    readonly created_at: string;
  }[];
  readonly onboarding: {
    readonly status: OnboardingStatus;
    readonly reason: string | null;
    readonly acceptance: Acceptance | null;
    readonly created_at: string;
    readonly ended_at: string | null;
  } | null;
  readonly connection: {
    readonly connection_id: string;
    readonly status: 'proposed' | 'active';
    readonly suspended: boolean;
    readonly acceptance: Acceptance;
    readonly trust_review: boolean;
    readonly vendor_data_rule: VendorDataRule;
    readonly agreements: { readonly issuer: TrailAgreement | null; readonly partner: TrailAgreement | null };
  } | null;
  readonly deliveries: readonly {
    readonly delivery_id: string;
    readonly destination_id: string;
    readonly event_type: string;
    readonly state: string;
    readonly attempts: number;
    readonly last_reason: string | null;
    readonly created_at: string;
    readonly ended_at: string | null;
  }[];
}

/** A token that was minted of a session, and what became of it. */
export interface TrailShare extends TrailToken {
  readonly partner: NamedApplication;
  readonly outcome: 'open' | 'imported' | ClosedEnding;
  readonly redeemed_at: string | null;
  readonly acknowledgement: 'unspent' | 'spent' | 'redeemed' | 'refused' | 'withdrawn' | null;
  readonly minted_by: TrailActor | null;
  readonly connection_id: string | null;
}

/** The session itself; null when it is deleted, or was never the application's. */
export async function readTrailSession(
  tx: Transaction,
  applicationId: string,
  sessionId: string,
): Promise<TrailSession | null> {
  const [row] = await tx.query<TrailSession & Record<string, unknown>>(
    `select session_kind, environment, status, coalesce(first_status, status) as first_status, workflow_id,
       workflow_version, parent_import, ${isoColumn('created_at')} as created_at, ${isoColumn('updated_at')} as updated_at
     from session where session_id = $2 and application_id = $1`,
    [applicationId, sessionId],
  );
  return row ?? null;
}

/** Every hop of a living session, the nearest first. */
export function readTrailHops(tx: Transaction, applicationId: string, sessionId: string): Promise<TrailHop[]> {
  return tx.query<TrailHop & Record<string, unknown>>(
    `select p.hop, p.source_session_id, ${named('p.source_application_id')} as application, p.token_id,
       ${isoColumn('p.imported_at')} as imported_at
     from session_provenance p where p.application_id = $1 and p.session_id = $2 order by p.hop`,
    [applicationId, sessionId],
  );
}

/** The import that brought a session, itself or as a person of a business; null for one that was not imported. */
export async function readTrailImport(
  tx: Transaction,
  applicationId: string,
  sessionId: string,
): Promise<TrailImport | null> {
  const [row] = await tx.query<TrailImport & Record<string, unknown>>(IMPORT, [applicationId, sessionId]);
  return row ?? null;
}

/** The newest tokens that were minted of a session, and how many there are. */
export async function readTrailShares(
  tx: Transaction,
  applicationId: string,
  sessionId: string,
  limit: number,
): Promise<{ count: number; rows: TrailShare[] }> {
  const values = [applicationId, sessionId];
  const [[total], rows] = await Promise.all([
    tx.query<{ count: number }>(
      'select count(*)::float8 as count from share_token where issuer_id = $1 and session_id = $2',
      values,
    ),
    tx.query<TrailShare & Record<string, unknown>>(SHARES, [...values, limit]),
  ]);
  return { count: total?.count ?? 0, rows };
}

/** An application by an expression of its id. */
function named(id: string): string {
  return `json_build_object('application_id', ${id}, 'name', (
    select a.name from application a where a.application_id = ${id} and (${id} = $1 or exists (
      select 1 from connection n
      where n.issuer_id = ${id} and n.partner_id = $1 or n.partner_id = ${id} and n.issuer_id = $1))))`;
}

/** Who minted the token `t`, or imported a session with it, by the reader's own events. */
function actorOf(type: 'share.minted' | 'status.updated'): string {
  return `(select json_build_object('kind', e.actor_kind, 'id', e.actor_id) from event e
    where e.token_id = t.token_id and e.application_id = $1 and e.type = '${type}' limit 1)`;
}

const agreement = (side: 'issuer' | 'partner'): string => `(
  select json_build_object('reference', g.reference, 'document_sha256', g.document_sha256, 'legal_basis', g.legal_basis,
    'purpose', g.purpose, 'signed_on', g.signed_on, 'valid_until', g.valid_until,
    'in_force', g.valid_until is null or g.valid_until >= (handoff_now() at time zone 'UTC')::date)
  from connection_agreement g where g.connection_id = n.connection_id and g.application_id = n.${side}_id
  order by g.recorded_at desc, g.agreement_id desc limit 1)`;

const TOKEN_TIMES = ['issued_at', 'expires_at', 'closed_at'];

const IMPORT = `
  select ${named('r.issuer_id')} as issuer, r.source_session_id,
    json_build_object('token_id', t.token_id, 'kid', t.kid,
      ${TOKEN_TIMES.map((column) => `'${column}', ${isoColumn(`t.${column}`)}`).join(', ')},
      'closed_as', t.closed_as, 'closed_reason', t.closed_reason) as token,
    ${isoColumn('r.redeemed_at')} as redeemed_at, ${isoColumn('r.released_at')} as deleted_at, r.trust_review,
    ${actorOf('status.updated')} as imported_by,
    (select coalesce(json_agg(json_build_object('acknowledgement_id', k.acknowledgement_id, 'accept', k.accept,
       'state', k.state, 'spent_code', k.spent_code, 'created_at', ${isoColumn('k.created_at')})
       order by k.created_at), '[]')
     from acknowledgement k where k.token_id = t.token_id and k.partner_id = $1) as acknowledgements,
    (select json_build_object('status', o.status, 'reason', o.reason, 'acceptance', o.acceptance,
       'created_at', ${isoColumn('o.created_at')}, 'ended_at', ${isoColumn('o.ended_at')})
     from onboarding o where o.token_id = t.token_id) as onboarding,
    (select json_build_object('connection_id', n.connection_id, 'status', n.status,
       'suspended', n.suspended_by_issuer_at is not null or n.suspended_by_partner_at is not null,
       'acceptance', n.acceptance, 'trust_review', n.trust_review, 'vendor_data_rule', n.vendor_data_rule,
       'agreements', json_build_object('issuer', ${agreement('issuer')}, 'partner', ${agreement('partner')}))
     from connection n where n.issuer_id = r.issuer_id and n.partner_id = r.partner_id) as connection,
    (select coalesce(json_agg(json_build_object('delivery_id', v.delivery_id, 'destination_id', v.destination_id,
       'event_type', e.type, 'state', v.state,
       'attempts', (select count(*) from delivery_attempt w where w.delivery_id = v.delivery_id),
       'last_reason', v.last_reason, 'created_at', ${isoColumn('v.created_at')}, 'ended_at', ${isoColumn('v.ended_at')})
       order by v.created_at, v.delivery_id), '[]')
     from event e join delivery v on v.event_id = e.event_id and v.application_id = $1
     where e.token_id = t.token_id and e.application_id = $1) as deliveries
  from redemption r join share_token t on t.token_id = r.token_id
  where r.partner_id = $1 and r.token_id = coalesce(
    (select own.token_id from redemption own where own.session_id = $2 and own.partner_id = $1),
    (select p.token_id from session_provenance p where p.session_id = $2 and p.application_id = $1 and p.hop = 1))`;

const SHARES = `
  select t.token_id, t.kid, ${TOKEN_TIMES.map((column) => `${isoColumn(`t.${column}`)} as ${column}`).join(', ')},
    t.closed_as, t.closed_reason, ${named('t.partner_id')} as partner,
    case when r.token_id is not null then 'imported' when t.closed_as is not null then t.closed_as
      when t.expires_at <= handoff_now() and (k.state is null or k.state <> 'unspent') then 'expired'
      else 'open' end as outcome,
    ${isoColumn('r.redeemed_at')} as redeemed_at, k.state as acknowledgement, ${actorOf('share.minted')} as minted_by,
    (select n.connection_id from connection n where n.issuer_id = $1 and n.partner_id = t.partner_id) as connection_id
  from share_token t
  left join redemption r on r.token_id = t.token_id
  left join lateral (
    select a.state from acknowledgement a where a.token_id = t.token_id order by a.created_at desc limit 1
  ) k on true
  where t.issuer_id = $1 and t.session_id = $2
  order by t.token_id desc limit $3`;
