/** What the body of every event says. Members that Didit's own webhooks may lack are optional. */
interface Envelope<Type extends string> {
  readonly webhook_type: Type;
  /** UUID, the same in every attempt and resend: what to deduplicate by. Some test sends of Didit lack it. */
  readonly event_id: string;
  /** The application that is told (UUID): yours. */
  readonly application_id: string;
  readonly environment: 'sandbox' | 'live';
  /** Unix seconds of the event. */
  readonly created_at: number;
  /** Unix seconds of this attempt. */
  readonly timestamp: number;
  /**
   * Rises with every event about one session, else share, customer or destination, of whatever type: it orders the states of
   * one subject ({@link stateSubjectOf}), and a higher one of another event says nothing against a lower one. Handoff only.
   */
  readonly sequence?: number;
}

/** A member that a body may be without: too much or too odd to be signed, or a `thin` destination's to fetch. */
type Omittable<Name extends string, Value> = { readonly [Member in Name]?: Value } & {
  /** It was left out. */
  readonly [Member in `${Name}_omitted`]?: true;
};

/** A decision document, as `GET /v3/session/{id}/decision/` answers it. */
export type Decision = Readonly<Record<string, unknown>>;

interface AboutSession<Type extends string>
  extends Envelope<Type>, Omittable<'decision', Decision>, Omittable<'metadata', unknown> {
  readonly session_id: string;
  /** Didit leaves it out of a person's. */
  readonly session_kind?: 'user' | 'business';
  /** Of a person in Title Case (`In Review`), of a company as `IN_REVIEW`. */
  readonly status: string;
  readonly workflow_id: string | null;
  readonly workflow_version: number;
  /** What you call the customer. */
  readonly vendor_data: string | null;
  /** Of a company only. */
  readonly business_session_id?: string;
  readonly vendor_business_id?: string | null;
}

/** What is to be done again, and why as codes of warnings. */
export interface ResubmitInfo {
  readonly nodes_to_resubmit: readonly { readonly node_id: string; readonly feature: string }[];
  readonly reasons: unknown;
}

/** A session came to a status; with its decision when it is finished or abandoned. */
export interface StatusUpdated extends AboutSession<'status.updated'>, Omittable<'resubmit_info', ResubmitInfo> {}

/** The content of a session changed, its status did not. */
export interface DataUpdated extends AboutSession<'data.updated'> {
  /** By what, e.g. `ingestion`. */
  readonly trigger: string;
}

/** Whether a customer may be handed over and verified: not when `BLOCKED`. */
export type EntityStatus = 'ACTIVE' | 'FLAGGED' | 'BLOCKED';

interface AboutEntity<Type extends string> extends Envelope<Type> {
  readonly vendor_data: string | null;
  readonly status: EntityStatus;
}

interface AboutUser<Type extends string> extends AboutEntity<Type> {
  readonly vendor_user_id: string;
}

interface AboutBusiness<Type extends string> extends AboutEntity<Type> {
  readonly vendor_business_id: string;
}

interface StatusChange {
  readonly previous_status: EntityStatus;
}

interface DataChange extends Omittable<'changes', Changes> {
  readonly changed_fields: readonly string[];
}

type Changes = Readonly<Record<string, { readonly previous: unknown; readonly current: unknown }>>;

export interface UserStatusUpdated extends AboutUser<'user.status.updated'>, StatusChange {}
export interface UserDataUpdated extends AboutUser<'user.data.updated'>, DataChange {}
export interface BusinessStatusUpdated extends AboutBusiness<'business.status.updated'>, StatusChange {}
export interface BusinessDataUpdated extends AboutBusiness<'business.data.updated'>, DataChange {}

interface AboutShare<Type extends string> extends Envelope<Type> {
  /** Id of the share token (UUID), which is no secret. */
  readonly token_id: string;
  readonly session_kind: 'user' | 'business';
  readonly issuer_application_id: string;
  readonly partner_application_id: string;
}

/** To the issuer: a share token was minted for one of its sessions. */
export interface ShareMinted extends AboutShare<'share.minted'> {
  readonly session_id: string;
  /** ISO 8601. */
  readonly expires_at: string;
}

/** To the partner: a customer is handed over to it. */
export interface ShareReceived extends AboutShare<'share.received'> {
  /** A secret: keep it out of logs. Not there when the import happens by itself. */
  readonly share_token?: string;
  /** What is awaited of the partner. */
  readonly acceptance: 'acknowledge' | 'redeem' | 'automatic';
  /** ISO 8601. */
  readonly expires_at: string;
}

/** To both sides, each with its own session: the issuer's source, the partner's new one. */
export interface ShareImported extends AboutShare<'share.imported'> {
  readonly session_id: string;
}

interface EndOfShare<Type extends string> extends AboutShare<Type> {
  /** The issuer's source; a partner has no session. */
  readonly session_id?: string;
}

interface Reasoned {
  /** A stable code. */
  readonly reason: string;
}

/** The partner said no. */
export interface ShareRefused extends EndOfShare<'share.refused'>, Reasoned {
  /** In the partner's own words. */
  readonly partner_reason?: string;
}

export interface ShareRevoked extends EndOfShare<'share.revoked'>, Reasoned {}
export interface ShareExpired extends EndOfShare<'share.expired'> {}

/** The token did not reach the partner. */
export interface ShareUndeliverable extends EndOfShare<'share.undeliverable'>, Reasoned {}

/** A rule forbids the import; `reason` is the code that an import call would be refused with. */
export interface ShareRejected extends EndOfShare<'share.rejected'>, Reasoned {}

interface AboutDestination<Type extends string> extends Envelope<Type> {
  readonly destination_id: string;
  readonly label: string;
}

/** Shows that deliveries arrive; stands for nothing. */
export interface WebhookPing extends AboutDestination<'webhook.ping'> {
  readonly metadata: { readonly test_webhook: true };
}

/** Nothing gets through to a destination of yours: this went to another. */
export interface WebhookFailing extends AboutDestination<'webhook.failing'> {
  /** ISO 8601. */
  readonly failing_since: string;
  /** How much of the time has passed after which it is switched off. */
  readonly percent: number;
  /** ISO 8601: when it is switched off. */
  readonly disabled_after: string;
}

/** A destination of yours was switched off; what it would get is held for it. */
export interface WebhookDisabled extends AboutDestination<'webhook.disabled'> {
  readonly reason: 'gone' | 'receiver' | 'failing' | 'blocked';
  /** ISO 8601. */
  readonly disabled_at: string;
}

/** Every event that Handoff sends, told apart by `webhook_type`. */
export type HandoffWebhookEvent =
  | StatusUpdated
  | DataUpdated
  | UserStatusUpdated
  | UserDataUpdated
  | BusinessStatusUpdated
  | BusinessDataUpdated
  | ShareMinted
  | ShareReceived
  | ShareImported
  | ShareRefused
  | ShareRevoked
  | ShareExpired
  | ShareUndeliverable
  | ShareRejected
  | WebhookPing
  | WebhookFailing
  | WebhookDisabled;

/** The event of one type: `EventOf<'share.received'>`. */
export type EventOf<Type extends HandoffWebhookEvent['webhook_type']> = Extract<
  HandoffWebhookEvent,
  { readonly webhook_type: Type }
>;

/**
 * Whose whole state an event tells, as the key of the highest `sequence` that was seen of it: the session of `status.updated`
 * and `data.updated`, the customer of `user.status.updated` and `business.status.updated`. One whose number is below that
 * is stale. Null for all others: each is a fact or a change of its own, which is never stale.
 */
export function stateSubjectOf(event: HandoffWebhookEvent): string | null {
  if (event.webhook_type === 'status.updated' || event.webhook_type === 'data.updated') return event.session_id;
  if (event.webhook_type === 'user.status.updated') return event.vendor_user_id;
  return event.webhook_type === 'business.status.updated' ? event.vendor_business_id : null;
}
