import { PLATFORM_ID } from '../../domain/ids.ts';
import { NEW } from './inserts.ts';
import type { Rows } from './tables.ts';

/** Table → its privileges, as GRANT takes them. */
export type Grants = Readonly<Record<string, string>>;

/**
 * What an operation stands on:
 *   tenant      all that tenants may do, with the rows of the one that the transaction names
 *   own         those rows, under its own grants alone
 *   onboarding  all that this operation may do
 *   nothing     its own grants, and its own rows
 */
export type Base = 'tenant' | 'own' | 'onboarding' | 'nothing';

/** What one operation may do. */
export interface RoleListing {
  /** What it is for. */
  readonly does: string;
  /** What it has besides; left out, every tenant's rows of what it is granted. */
  readonly base?: Base;
  readonly grants: Grants;
  /** Rows beyond those of its base. */
  readonly rows?: Readonly<Record<string, Rows>>;
}

/** To take a row's lock takes the right to change a column of it; where only that is wanted, it is this one. */
const IDEMPOTENCY = { idempotency_key: 'select, insert, update (route, body_sha256, status, resource_id, created_at)' };

/** To tell something, and to wish for what follows from it. Events are never changed, by nobody. */
const TELLING = {
  audit_unsealed: 'insert (application_id, event_id)',
  event: `select (event_id, dedupe_key), ${NEW.event}`,
  event_payload: NEW.event_payload,
  event_sequence: 'select, insert, update (last)',
  outbox: 'select (outbox_id), insert (wish, token_id, subject_id, signal)',
};

/** To look at a share and to end it, on both sides. */
const SHARES = {
  acknowledgement: 'select, update (state, spent_code, spent_field)',
  delivery: 'select, update (state, lease_until, last_reason, ended_at)',
  delivery_attempt: 'select (attempt_id, delivery_id, state), update (state, reason)',
  event: `select (event_id, dedupe_key, token_id, type), ${NEW.event}`,
  onboarding: 'select, update (acceptance, status, reason, imported_session_id, ended_at)',
  onboarding_step: 'select, insert, update (finished_at, attempts, result)',
  redemption: 'select',
  share_token: 'select, update (closed_at, closed_as, closed_reason)',
  signing_key: 'select (kid, state)',
  token_key: 'select (token_id, session_id), update (expires_at), delete',
};

/** A session as it is taken in or cloned: no hosted flow leads to it. */
const NEW_SESSION = `insert (session_id, application_id, session_kind, session_number, status, environment, workflow_id, vendor_data,
  external_id, features, nfc_skip_reason, document_expires_on, shared_from_session, parent_import, created_at, expires_at,
  updated_at, session_type, workflow_version, first_status, country, document_type, warnings)`;

/** To write sessions, with the entities that they are of and what they are found by. */
const SESSIONS = {
  application: 'select (application_id, environment, deleted_at)',
  entity: `select (entity_id, application_id, session_kind, vendor_data, status, first_session_at, last_session_at),
    ${NEW.entity}, update (first_session_at, last_session_at)`,
  session: `select, ${NEW_SESSION}`,
  session_check: 'insert',
  session_counter: 'select, insert, update (last_number, living)',
  session_home: 'insert',
  session_key: 'insert',
  session_media: NEW.session_media,
  session_person: 'insert',
  session_search: 'insert',
};

/** What the rules of a share ask. */
const RULES = {
  connection: 'select',
  session_person: 'select',
  session_person_found: 'select',
  verification_workflow: 'select',
  verification_workflow_version: 'select (version_id, workflow_id, application_id, version, status)',
};

/** The share that the transaction names. */
const NAMED = 'token_id = handoff_token()';
/** The same for its run, which acts for neither side. */
const RUN = `${NAMED} and handoff_tenant() is null`;
const SIDES = 'application_id = any ((select handoff_sides())::uuid[])';
/** The source of the named share, and the people that it brings along: as its partner sees them, and its run. */
const SHARED = 'session_id = any ((select handoff_shared(false))::uuid[])';
const SHARED_BY_RUN = 'session_id = any ((select handoff_shared(true))::uuid[])';
/** The same once this very transaction has redeemed the token. */
const REDEEMED = 'session_id = any ((select handoff_redeemed())::uuid[])';
const REDEEMED_KEYS = `${NAMED} and cardinality((select handoff_redeemed())) > 0`;

const TO_A_SIDE = 'handoff_is_side(token_id, application_id)';
const SHARED_EVENT = 'handoff_is_shared_event(event_id)';
const SHARED_DELIVERY = 'handoff_is_shared_delivery(delivery_id)';

/** Of the platform itself, which is no tenant. */
const OF_PLATFORM = `application_id = '${PLATFORM_ID}'`;

/** What is told of a share goes to both sides, and stops what was still to be sent of it. */
const TO_BOTH_SIDES = {
  audit_unsealed: { insert: 'true' },
  delivery: { select: SHARED_EVENT, update: SHARED_EVENT },
  delivery_attempt: { select: SHARED_DELIVERY, update: SHARED_DELIVERY },
  event: { select: TO_A_SIDE, insert: TO_A_SIDE },
  event_payload: { insert: 'true' },
  event_sequence: 'true',
} satisfies Readonly<Record<string, Rows>>;

/**
 * The group roles, without their prefix `handoff_`: one for what any tenant does with its own rows, and one for each
 * operation that crosses tenants. They own nothing, cannot log in and are under every policy.
 */
export const ROLES = {
  tenant: {
    does: 'everything that an application does with its own rows',
    base: 'own',
    grants: {
      ...TELLING,
      ...IDEMPOTENCY,
      api_key: 'select (key_id, application_id, name)',
      application: 'select (application_id, environment, deleted_at), update (updated_at)',
      audit_anchor: 'select',
      audit_chain: 'select',
      audit_unsealed: 'select (application_id), insert (application_id, event_id)',
      delivery: `select, ${NEW.delivery}, update (state, owner, trigger, next_at, schedule_start, lease_until, last_reason, ended_at)`,
      delivery_attempt: `select, ${NEW.delivery_attempt}, update (state, reason, response_head)`,
      entity: `select, ${NEW.entity}, update (status, profile, first_session_at, last_session_at, updated_at), delete`,
      entity_comment: `select, ${NEW.entity_comment}`,
      event: `select, ${NEW.event}`,
      event_payload: `select, ${NEW.event_payload}, delete`,
      ingest_secret:
        'select (application_id, sealed, previous_until, updated_at), insert, update (sealed, previous, previous_until, updated_at), delete',
      media_fetch: `select (media_id, session_id, application_id, state), ${NEW.media_fetch}, delete`,
      outbox: 'select (outbox_id, wish, subject_id), insert (wish, token_id, subject_id, signal), delete',
      redemption: 'select, update (released_at)',
      session: `select, insert, delete, update (status, first_status, vendor_data, features, nfc_skip_reason, document_expires_on,
        country, document_type, warnings, hosted_token_sha256, content_at, content_sent_at, content_events, created_at, expires_at,
        updated_at)`,
      session_check: 'select, insert, update (payload), delete',
      session_counter: 'select, insert, update (last_number, living)',
      session_home: 'select, insert, update (payload), delete',
      session_import: `select, ${NEW.session_import}, update (status, last_error, updated_at, completed_at)`,
      session_import_error: 'select',
      session_import_part: 'select (import_id, application_id, position), insert, delete',
      session_key: 'select, insert',
      session_media: `select, ${NEW.session_media}, delete`,
      session_person: 'select, insert, delete',
      session_person_found: 'select',
      session_provenance: 'select',
      session_search: 'select, insert, delete',
      share_token: 'select (token_id, issuer_id)',
      token_key: 'select (token_id, session_id), update (expires_at), delete',
      verification_workflow: `select, ${NEW.verification_workflow}, update (label, is_default, published_version, last_version), delete`,
      verification_workflow_version: `select, ${NEW.verification_workflow_version}, update (status, label, features, settings, updated_at, published_at), delete`,
      webhook_destination: `select, ${NEW.webhook_destination}, update (label, url, enabled, subscribed_events, payload_mode, didit_headers_signed_with,
        disabled_reason, disabled_at, updated_at, deleted_at)`,
      webhook_health: `select, insert, update (consecutive_failures, circuit_open_until, probe_until, circuit_closed_at, slow_until,
        single_until, failing_since, told_percent)`,
      webhook_secret: `select (secret_id, destination_id, application_id, expires_at), ${NEW.webhook_secret}, update (expires_at), delete`,
    },
  },

  account: {
    does: 'people: their logins, their organization, its applications and keys',
    grants: {
      ...TELLING,
      ...IDEMPOTENCY,
      account: 'select, insert (account_id, email_index, email, password_hash), update (password_hash)',
      api_key: `select (key_id, application_id, name, last_four, privileges, allowed_addresses, created_by, created_at, expires_at,
        revoked_at, last_used_at), ${NEW.api_key}, update (name, privileges, allowed_addresses, expires_at, revoked_at)`,
      application: `select, update (name, environment, website_url, redirect_uris, terms_url, privacy_url, description,
        updated_at)`,
      email_throttle: `select, insert (email_index), update (failed_logins, locked_until, lock_checked_until, mailed_at,
        touched_at)`,
      login: 'select, insert (login_id, account_id, expires_at), update (revoked_at), delete',
      one_time_code: 'select, insert (account_id, code_hmac, expires_at), update (code_hmac, expires_at, attempts)',
      organization: 'select, update (name, updated_at)',
      refresh_token: 'select, insert (token_sha256, login_id), update (used_at)',
    },
  },

  audit: {
    does: 'reads the line of a session, with the names of applications that the reader is connected with',
    base: 'tenant',
    grants: {
      acknowledgement: 'select (acknowledgement_id, token_id, partner_id, accept, state, spent_code, created_at)',
      application: 'select (name)',
      connection: 'select',
      connection_agreement: 'select',
      onboarding: 'select',
      share_token: 'select',
    },
    rows: {
      application: { select: 'handoff_is_connected(application_id)' },
    },
  },

  authenticate: {
    does: 'finds who calls: by API key, login or hosted session',
    grants: {
      account: 'select (account_id, organization_id, email)',
      api_key: `select (key_id, application_id, secret_sha256, privileges, allowed_addresses, expires_at, revoked_at,
        last_used_at), update (last_used_at)`,
      application: 'select (application_id, deleted_at)',
      login: 'select (login_id, account_id, expires_at, revoked_at)',
      session: 'select (session_id, application_id, session_kind, hosted_token_sha256)',
    },
  },

  carry_out: {
    does: 'carries out what a transaction wished for: makes deliveries due, and finds runs to start',
    grants: {
      delivery: `select, ${NEW.delivery}`,
      event: 'select (event_id, application_id, type, token_id, subject_id)',
      onboarding: 'select (token_id, session_kind, issuer_id, partner_id, ended_at)',
      outbox: 'select, delete',
      webhook_destination: 'select (destination_id, application_id, enabled, subscribed_events, deleted_at)',
    },
  },

  codec: {
    does: 'tells of payloads of Temporal that were decoded or refused',
    base: 'nothing',
    grants: { audit_unsealed: 'insert (application_id, event_id)', event: NEW.event },
    rows: {
      audit_unsealed: { insert: OF_PLATFORM },
      event: {
        insert: `${OF_PLATFORM} and type in ('temporal.decoded', 'temporal.payload_refused') and dedupe_key = type || ':' || event_id`,
      },
    },
  },

  connection: {
    does: 'proposes and changes connections: finds the partner, and reads what it signed',
    base: 'tenant',
    grants: {
      connection: `select, ${NEW.connection}, update (status, acceptance, trust_review, user_workflow_id, business_workflow_id,
        vendor_data_rule, suspended_by_issuer_at, suspended_by_partner_at, updated_at)`,
      connection_agreement: `select, ${NEW.connection_agreement}`,
    },
    rows: {
      application: { select: 'true' },
      audit_unsealed: { insert: 'true' },
      // To both sides.
      event: { insert: 'handoff_is_connected(application_id)' },
    },
  },

  delete_application: {
    does: 'deletes an application, and ends its shares on both sides',
    base: 'onboarding',
    grants: { application: 'update (deleted_at, updated_at)' },
  },

  delivery: {
    does: 'sends: takes what is due of every tenant, and notes what came of it',
    grants: {
      ...TELLING,
      acknowledgement: 'select',
      application: 'select (application_id, environment)',
      delivery: `select, ${NEW.delivery}, update (state, owner, attempts, next_at, lease_until, last_reason, ended_at)`,
      delivery_attempt: `select, ${NEW.delivery_attempt}, update`,
      event: `select, ${NEW.event}`,
      event_payload: `select, ${NEW.event_payload}`,
      onboarding: 'select, update (status)',
      onboarding_step: 'select, insert, update (finished_at, attempts, result)',
      redemption: 'select (token_id, session_id)',
      session_media: 'select (session_id, application_id, media_id, object_key)',
      share_token: 'select, update (closed_at)',
      signing_key: 'select (kid, state)',
      webhook_destination: 'select, update (enabled, disabled_reason, disabled_at, updated_at)',
      webhook_health: 'select, update',
      webhook_secret: 'select',
    },
  },

  health: {
    does: 'says whether the schema is there',
    grants: { schema_migration: 'select' },
  },

  ingest: {
    does: 'takes in what Didit sends: nobody has logged in, its signature is proof',
    base: 'tenant',
    grants: { ingest_secret: 'select (previous)' },
  },

  keys: {
    does: 'the operator’s commands: rotates keys, and seals anew whatever is under an old one',
    grants: {
      ...TELLING,
      account: 'select, update (email)',
      acknowledgement: 'select, update (reason)',
      connection_agreement: 'select, update (signer)',
      delivery_attempt: 'select, update (response_head)',
      entity: 'select, update (profile)',
      entity_comment: 'select, update (payload)',
      event: `select, ${NEW.event}`,
      event_payload: `select, ${NEW.event_payload}, update (payload)`,
      ingest_secret: 'select, update (sealed, previous)',
      media_fetch: 'select, update (url)',
      media_object: 'select, update (check_at)',
      redemption: 'select (token_id)',
      session: 'select (session_id, application_id), update (updated_at)',
      session_check: 'select, update (payload)',
      session_home: 'select, update (payload)',
      session_import: 'select, update (source_filename)',
      session_import_error: 'select, update (payload)',
      session_import_part: 'select, update (payload)',
      session_key: 'select, insert, update (wrapped)',
      session_media: 'select, update (object_key)',
      share_token: 'select',
      signing_key: `select, ${NEW.signing_key}, update`,
      token_key: 'select, update (wrapped)',
      webhook_secret: 'select, update (sealed)',
    },
  },

  media: {
    does: 'stores files, fetches those that are still with their source, and sweeps what nobody refers to',
    base: 'nothing',
    grants: {
      audit_unsealed: 'insert (application_id, event_id)',
      event: NEW.event,
      media_fetch: 'select, update (url, state, attempts, next_at, last_reason), delete',
      media_object: 'select, insert, update (stored_at, check_at), delete',
      session: 'select (session_id), update (updated_at)',
      session_key: 'select',
      session_media: 'select, update (object_key, content_type, byte_length)',
    },
    rows: {
      audit_unsealed: { insert: 'true' },
      event: {
        insert: `type = 'session.changed' and reason = 'file_fetched' and actor_kind = 'system' and dedupe_key = event_id::text`,
      },
      media_fetch: 'true',
      session: { select: 'true', lock: 'true' },
      session_key: { select: 'true' },
      session_media: { select: 'true', update: 'true' },
    },
  },

  lookup: {
    does: 'looks up for policies: owner of the functions that do, and nobody’s to take on',
    grants: {
      connection: 'select (connection_id, issuer_id, partner_id)',
      delivery: 'select (delivery_id, event_id)',
      event: 'select (event_id, application_id, token_id)',
      onboarding: 'select (token_id, session_id, issuer_id, partner_id, ended_at)',
      redemption: 'select',
      session: 'select (session_id, application_id, session_kind, external_id)',
      session_person: 'select',
      session_person_found: 'select',
      share_token: 'select (token_id, session_id, issuer_id, partner_id, closed_at)',
    },
  },

  mint: {
    does: 'mints tokens and opens onboardings: finds the partner',
    base: 'tenant',
    grants: {
      acknowledgement: 'select',
      connection: 'select',
      onboarding: `select, ${NEW.onboarding}`,
      onboarding_step: 'select, insert, update (finished_at, attempts, result)',
      share_token: 'select, insert',
      signing_key: 'select (kid, state)',
      token_key: 'insert',
    },
    rows: { application: { select: 'true' } },
  },

  onboarding: {
    does: 'acts on shares as either side of them; and as the run of the one that is named, which acts for neither',
    base: 'own',
    grants: {
      ...TELLING,
      ...IDEMPOTENCY,
      ...SHARES,
      ...RULES,
      acknowledgement: 'select, insert, update (state, spent_code, spent_field)',
      application: 'select (application_id, environment, deleted_at, organization_id)',
      delivery_attempt: `select, ${NEW.delivery_attempt}, update (state, reason)`,
      entity: 'select (application_id, session_kind, vendor_data, status)',
      event: `select, ${NEW.event}`,
      event_payload: `select, ${NEW.event_payload}`,
      // To lock it, while it is read.
      session: 'select, update (updated_at)',
      session_key: 'select',
      share_token: 'select, insert, update (closed_at, closed_as, closed_reason)',
      token_key: 'select (token_id, session_id), insert, update (expires_at), delete',
      webhook_destination: 'select (destination_id, application_id, enabled, deleted_at)',
      webhook_health: 'select, update (consecutive_failures)',
    },
    rows: {
      ...TO_BOTH_SIDES,
      application: { select: SIDES },
      connection: { select: 'array[issuer_id, partner_id] = (select handoff_sides())' },
      onboarding: { select: RUN, update: RUN },
      redemption: { select: RUN },
      session: { select: `${SHARED} or ${SHARED_BY_RUN}`, lock: `${SHARED} or ${SHARED_BY_RUN}` },
      session_key: { select: SHARED_BY_RUN },
      session_person: { select: `${SHARED} or ${SHARED_BY_RUN}` },
      share_token: { select: RUN, insert: RUN, update: RUN },
      // Their ids: only a redemption reads the keys themselves.
      token_key: 'handoff_has_share(token_id)',
    },
  },

  provision: {
    does: 'makes organizations, applications and what these begin with',
    grants: {
      ...TELLING,
      ...IDEMPOTENCY,
      account: 'select, update (organization_id, password_hash, verified_at)',
      api_key: `select (key_id, application_id), ${NEW.api_key}`,
      application: `select, ${NEW.application}`,
      login: 'select, insert (login_id, account_id, expires_at), delete',
      one_time_code: 'select, update (attempts), delete',
      organization: `select, ${NEW.organization}`,
      refresh_token: 'insert (token_sha256, login_id)',
      verification_workflow: `select, ${NEW.verification_workflow}, update (is_default, last_version)`,
      verification_workflow_version: `select, ${NEW.verification_workflow_version}`,
      webhook_destination: `select (destination_id, application_id, url, deleted_at), ${NEW.webhook_destination}`,
      webhook_health: 'insert',
      webhook_secret: `select (destination_id), ${NEW.webhook_secret}`,
    },
  },

  rate_limit: {
    does: 'counts calls',
    grants: { rate_limit_window: 'select, insert, update (used)' },
  },

  redeem: {
    does: 'imports: what the named token shares is seen by its partner, its content once it is redeemed',
    base: 'own',
    grants: {
      ...TELLING,
      ...IDEMPOTENCY,
      ...SESSIONS,
      ...SHARES,
      ...RULES,
      redemption: 'select, insert',
      session: `select, ${NEW_SESSION}, update (updated_at)`,
      session_check: 'select, insert',
      session_home: 'select, insert',
      session_key: 'select, insert',
      session_media: `select, ${NEW.session_media}`,
      session_person: 'select, insert',
      session_provenance: 'select, insert',
      token_key: 'select, update (expires_at), delete',
    },
    rows: {
      ...TO_BOTH_SIDES,
      application: { select: SIDES },
      onboarding: { select: NAMED },
      session: { select: SHARED, lock: SHARED },
      session_check: { select: REDEEMED },
      session_media: { select: REDEEMED },
      session_person: { select: SHARED },
      session_provenance: { select: REDEEMED },
      share_token: { select: NAMED },
      token_key: { select: REDEEMED_KEYS, lock: REDEEMED_KEYS, delete: REDEEMED_KEYS },
    },
  },

  relay: {
    does: 'finishes what others could not, moves and forgets deliveries, tidies, and seals the audit trail',
    grants: {
      ...TELLING,
      ...SHARES,
      application: 'select (application_id, environment)',
      audit_anchor: 'select, insert',
      audit_chain: 'select, insert',
      audit_head: 'select, insert, update (position, chain_sha256, anchored_position, anchor_begun_at)',
      audit_unsealed: 'select, insert (application_id, event_id), delete',
      delivery: `select, ${NEW.delivery}, delete, update (state, owner, trigger, next_at, schedule_start, lease_until, last_reason, checked_at,
        ended_at)`,
      delivery_attempt: `select, ${NEW.delivery_attempt}, update (state, reason, response_head), delete`,
      email_throttle: 'select, delete',
      event: `select, ${NEW.event}`,
      event_payload: `select (event_id, application_id, created_at), ${NEW.event_payload}, update (created_at), delete`,
      idempotency_key: 'select (scope, key, created_at), delete',
      media_fetch: 'select (media_id, session_id, application_id, state, next_at), update (next_at)',
      onboarding: 'select, update (status, reason, imported_session_id, ended_at, checked_at)',
      outbox: 'select, insert (wish, token_id, subject_id, signal), update (due_at, attempts), delete',
      rate_limit_window: 'select (bucket, window_start, ends_at), delete',
      session_import: 'select, update (status, last_error, updated_at, completed_at, checked_at)',
      session_import_part: 'select (import_id, application_id, position), delete',
      signing_key: `select (kid, state, created_at, activated_at, retired_at, removed_at, swept_at),
        update (state, sealed, removed_at, swept_at)`,
      token_key: 'select (token_id, session_id, expires_at), update (expires_at), delete',
      webhook_destination: 'select, update (enabled, disabled_reason, disabled_at, updated_at)',
      webhook_health: 'select, update (told_percent, told_at)',
    },
  },

  reveal_secret: {
    does: 'shows a webhook secret to its owner',
    base: 'tenant',
    grants: { webhook_secret: 'select (sealed)' },
  },

  secrets: {
    does: 'makes sure at a server’s start that there is a key to sign with, and that secrets are under the active key',
    grants: {
      ...TELLING,
      ingest_secret: 'select, update (sealed, previous)',
      signing_key: `select, ${NEW.signing_key}, update (state, sealed, activated_at, retired_at)`,
      webhook_secret: 'select, update (sealed)',
    },
  },

  session_import: {
    does: 'takes in a file of sessions, as the tenant that it is of',
    base: 'own',
    grants: {
      ...SESSIONS,
      audit_unsealed: 'insert (application_id, event_id)',
      event: NEW.event,
      session_import: `select, update (status, next_part, processed_rows, created_count, updated_count, skipped_count, failed_count,
        checkpoint_row, total_media_bytes, last_error, updated_at, started_at, completed_at)`,
      session_import_error: 'insert',
      session_import_part: 'select, delete',
    },
    rows: { session_import: { select: 'true' } },
  },

  signing_keys: {
    does: 'loads the keys of share tokens',
    grants: { signing_key: 'select (kid, state, sealed)' },
  },

  verify: {
    does: 'the operator’s command: verifies the audit trail of every application',
    grants: {
      audit_anchor: 'select',
      audit_chain: 'select',
      audit_head: 'select',
      audit_unsealed: 'select',
      event: 'select',
      event_payload: 'select',
    },
  },
} satisfies Readonly<Record<string, RoleListing>>;

/** What a transaction may run as, without the prefix. */
export type Operation = Exclude<keyof typeof ROLES, 'lookup'>;

/**
 * Logins of processes, and the operations that each may take on, one in each transaction. Operators' commands connect as
 * the role that migrates, which may take on all of them.
 */
export const LOGINS: Readonly<Record<string, readonly Operation[]>> = {
  handoff_server: [
    'tenant',
    'account',
    'audit',
    'authenticate',
    'carry_out',
    'codec',
    'connection',
    'delete_application',
    'health',
    'ingest',
    'media',
    'mint',
    'onboarding',
    'provision',
    'rate_limit',
    'redeem',
    'reveal_secret',
    'secrets',
    'signing_keys',
  ],
  handoff_codec_server: ['codec'],
  handoff_webhooks: ['codec', 'delivery', 'health', 'media', 'signing_keys'],
  handoff_worker: ['carry_out', 'codec', 'health', 'media', 'onboarding', 'redeem', 'relay', 'session_import'],
};
