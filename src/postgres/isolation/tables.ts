/**
 * Whose rows a table holds. Every table of the schema stands in one of the two lists below: one that doesn't fails
 * `test/postgres/isolation.test.ts`, and no operation may touch it.
 *
 * To add a table: put it into {@link TABLES} with the condition that makes a row a tenant's, or into {@link UNPOLICED}
 * with the reason why its rows are nobody's; then give each operation in `roles.ts` what it needs of it. The next
 * migration applies the change.
 */

/** Commands that policies tell apart; `lock` is SELECT … FOR UPDATE or FOR SHARE without the right to change the row. */
export type Command = 'select' | 'insert' | 'update' | 'delete' | 'lock';

/** Condition (SQL) on rows, for all commands or one by one; a command that is left out reaches none. */
export type Rows = string | Readonly<Partial<Record<Command, string>>>;

const OWN = 'application_id = handoff_tenant()';
const AS_ISSUER = 'issuer_id = handoff_tenant()';
const AS_PARTNER = 'partner_id = handoff_tenant()';
const EITHER_SIDE = `${AS_ISSUER} or ${AS_PARTNER}`;

/** What goes with a share, whose two sides share it. */
const OF_SHARE = 'handoff_has_share(token_id)';

/** Tables under row-level security, enabled and forced: which rows are the tenant's. */
export const TABLES: Readonly<Record<string, Rows>> = {
  acknowledgement: { select: OF_SHARE, insert: `${AS_PARTNER} and ${OF_SHARE}`, update: OF_SHARE },
  api_key: OWN,
  application: OWN,
  audit_anchor: OWN,
  audit_chain: OWN,
  audit_head: OWN,
  audit_unsealed: OWN,
  connection: { select: EITHER_SIDE, insert: AS_ISSUER, update: EITHER_SIDE },
  connection_agreement: { select: 'handoff_has_connection(connection_id)', insert: OWN },
  delivery: OWN,
  delivery_attempt: OWN,
  entity: OWN,
  entity_comment: OWN,
  event: OWN,
  event_payload: OWN,
  event_sequence: OWN,
  ingest_secret: OWN,
  media_fetch: OWN,
  onboarding: { select: EITHER_SIDE, insert: AS_ISSUER, update: EITHER_SIDE },
  onboarding_step: OF_SHARE,
  redemption: {
    select: EITHER_SIDE,
    insert: 'handoff_may_redeem(token_id, source_session_id, issuer_id, partner_id)',
    update: AS_PARTNER,
  },
  session: OWN,
  session_check: OWN,
  session_counter: OWN,
  session_home: OWN,
  session_import: OWN,
  session_import_error: OWN,
  session_import_part: OWN,
  session_key: OWN,
  session_media: OWN,
  session_person: OWN,
  session_provenance: OWN,
  session_search: OWN,
  share_token: { select: EITHER_SIDE, insert: AS_ISSUER, update: EITHER_SIDE },
  token_key: 'handoff_has_issued(token_id)',
  verification_workflow: OWN,
  verification_workflow_version: OWN,
  webhook_destination: OWN,
  webhook_health: OWN,
  webhook_secret: OWN,
};

/** Tables without policies, and why: their rows belong to no tenant. Grants alone say who may touch them. */
export const UNPOLICED: Readonly<Record<string, string>> = {
  account: 'people belong to an organization, which may have many applications',
  email_throttle: 'about an address, whether it has an account or not',
  idempotency_key: 'of an API key, a person or a network address: digests and ids of what was made, no content',
  login: 'of a person',
  media_object: 'stored bytes by their hash: clones of several applications refer to one object',
  one_time_code: 'of a person',
  organization: 'above applications',
  outbox: 'wishes of the platform: ids alone',
  rate_limit_window: 'of an API key, a person or a network address: counters alone',
  refresh_token: 'of a person',
  schema_migration: 'names of migrations',
  signing_key: 'of the platform',
};
