-- Up Migration

-- The one clock: every rule about time reads it, after the row lock. Tests replace it by a shifted one.
create function handoff_now() returns timestamptz language sql volatile as 'select clock_timestamp()';

-- ---------------------------------------------------------------- applications

create table application (
  application_id uuid primary key,
  name text not null,
  environment text not null check (environment in ('sandbox', 'live')),
  created_at timestamptz not null default handoff_now(),
  deleted_at timestamptz
);

create table api_key (
  key_id text primary key,
  application_id uuid not null references application,
  name text not null,
  secret_sha256 bytea not null check (octet_length(secret_sha256) = 32),
  last_four text not null,
  -- resource -> 'read' | 'write'; a resource that is absent is 'none'
  privileges jsonb not null,
  created_at timestamptz not null default handoff_now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
create index api_key_application on api_key (application_id);

create table verification_workflow (
  workflow_id uuid primary key,
  application_id uuid not null references application,
  label text not null,
  session_kind text not null check (session_kind in ('user', 'business')),
  is_default boolean not null default false,
  created_at timestamptz not null default handoff_now()
);
create unique index verification_workflow_default on verification_workflow (application_id, session_kind) where is_default;
create index verification_workflow_application on verification_workflow (application_id);

-- ---------------------------------------------------------------- sessions

-- Taken last, in application-id order, so that a busy application's row is locked only for a commit.
create table session_counter (
  application_id uuid not null references application,
  session_kind text not null,
  last_number bigint not null default 0,
  living bigint not null default 0,
  primary key (application_id, session_kind)
);

create table session (
  session_id uuid primary key,
  application_id uuid not null references application,
  session_kind text not null check (session_kind in ('user', 'business')),
  session_number bigint not null,
  status text not null,
  environment text not null check (environment in ('sandbox', 'live')),
  workflow_id uuid,
  vendor_data text,
  external_id text,
  features text[] not null default '{}',
  nfc_skip_reason text,
  document_expires_on date,
  shared_from_session uuid,
  -- the business import that brought this person along
  parent_import uuid,
  created_at timestamptz not null,
  expires_at timestamptz,
  updated_at timestamptz not null,
  unique (application_id, session_kind, session_number),
  unique (application_id, external_id)
);
create index session_vendor_data on session (application_id, vendor_data) where vendor_data is not null;
create index session_parent_import on session (parent_import) where parent_import is not null;

-- One item of one array of the decision. `payload` is sealed and is all of it that an import may carry.
create table session_check (
  session_id uuid not null references session on delete cascade deferrable initially deferred,
  application_id uuid not null references application,
  category text not null,
  position integer not null,
  payload bytea not null,
  primary key (session_id, category, position)
);

-- What never crosses to another application: other customers' matches, hosted links, reviewers, settings.
-- Category '' at position 0 holds the session's own settings.
create table session_home (
  session_id uuid not null references session on delete cascade deferrable initially deferred,
  application_id uuid not null references application,
  category text not null,
  position integer not null,
  payload bytea not null,
  primary key (session_id, category, position)
);

-- The people of a business: where a check names a person's session, and which session that is.
create table session_person (
  session_id uuid not null references session on delete cascade deferrable initially deferred,
  application_id uuid not null references application,
  category text not null,
  position integer not null,
  pointer text not null,
  -- the owner's own words (a session id or an external id); never cloned
  reference text,
  -- the person's session, when the reference is a session id or the row is a clone's; it may not have arrived, or be gone
  person_session_id uuid,
  primary key (session_id, category, position, pointer)
);

-- Who the people are by now: found by session id, then by external id, among the sessions of the same application.
create view session_person_found with (security_invoker = true) as
select link.session_id, link.application_id, link.category, link.position, link.pointer, link.reference,
       coalesce(by_id.session_id, by_external_id.session_id) as person_session_id
from session_person link
left join session by_id
  on by_id.session_id = link.person_session_id and by_id.application_id = link.application_id
  and by_id.session_kind = 'user'
left join session by_external_id
  on by_id.session_id is null and by_external_id.application_id = link.application_id
  and by_external_id.external_id = link.reference and by_external_id.session_kind = 'user';

-- Every hop of a shared session, the nearest first (hop 1).
create table session_provenance (
  session_id uuid not null references session on delete cascade deferrable initially deferred,
  application_id uuid not null references application,
  hop integer not null,
  source_session_id uuid not null,
  source_application_id uuid not null,
  token_id uuid not null,
  imported_at timestamptz not null,
  primary key (session_id, hop)
);

create table entity (
  entity_id uuid primary key,
  application_id uuid not null references application,
  session_kind text not null check (session_kind in ('user', 'business')),
  vendor_data text not null,
  status text not null default 'ACTIVE' check (status in ('ACTIVE', 'FLAGGED', 'BLOCKED')),
  created_at timestamptz not null default handoff_now(),
  unique (application_id, session_kind, vendor_data)
);

-- ---------------------------------------------------------------- connections

create table connection (
  connection_id uuid primary key,
  issuer_id uuid not null references application,
  partner_id uuid not null references application,
  environment text not null,
  status text not null default 'proposed' check (status in ('proposed', 'active')),
  acceptance text not null default 'acknowledge' check (acceptance in ('acknowledge', 'redeem', 'automatic')),
  trust_review boolean not null default false,
  user_workflow_id uuid,
  business_workflow_id uuid,
  vendor_data_rule text not null default 'prefixed' check (vendor_data_rule in ('prefixed', 'same')),
  suspended_by_issuer_at timestamptz,
  suspended_by_partner_at timestamptz,
  created_at timestamptz not null default handoff_now(),
  updated_at timestamptz not null default handoff_now(),
  unique (issuer_id, partner_id)
);
create index connection_partner on connection (partner_id);

-- Each side's signature under the data-sharing agreement; every one is kept.
create table connection_agreement (
  agreement_id uuid primary key,
  connection_id uuid not null references connection,
  application_id uuid not null references application,
  reference text not null,
  document_sha256 text not null,
  legal_basis text not null,
  purpose text not null,
  signer text not null,
  signed_on date not null,
  valid_until date,
  recorded_at timestamptz not null default handoff_now()
);
create index connection_agreement_connection on connection_agreement (connection_id, application_id, recorded_at desc);

-- ---------------------------------------------------------------- sharing

-- Ids of the share-token keys, registered by the processes that hold them; the keys themselves are never here.
create table signing_key (
  kid text primary key,
  active boolean not null,
  registered_at timestamptz not null default handoff_now()
);
create unique index signing_key_active on signing_key (active) where active;

create table share_token (
  token_id uuid primary key,
  session_id uuid not null,
  session_kind text not null,
  issuer_id uuid not null references application,
  partner_id uuid not null references application,
  environment text not null,
  kid text not null,
  -- whole seconds: the token's text is a function of this row and the key
  issued_at timestamptz not null,
  expires_at timestamptz not null,
  closed_at timestamptz,
  closed_as text check (closed_as in ('refused', 'revoked', 'expired', 'undeliverable', 'rejected')),
  closed_reason text,
  check ((closed_at is null) = (closed_as is null)),
  check (issuer_id <> partner_id)
);
create index share_token_open_session on share_token (session_id) where closed_at is null;
create index share_token_open_kid on share_token (kid) where closed_at is null;

-- The one row that says a token was used. It stays for ever: no foreign key that could take it along.
create table redemption (
  token_id uuid primary key,
  source_session_id uuid not null,
  issuer_id uuid not null,
  partner_id uuid not null,
  session_id uuid not null,
  acknowledgement_id uuid,
  trust_review boolean not null,
  redeemed_at timestamptz not null,
  released_at timestamptz
);
create unique index redemption_living_import on redemption (source_session_id, partner_id) where released_at is null;
create index redemption_session on redemption (session_id);

create table onboarding (
  token_id uuid primary key,
  session_id uuid not null,
  session_kind text not null,
  issuer_id uuid not null references application,
  partner_id uuid not null references application,
  ttl_seconds integer not null,
  status text not null default 'minting',
  reason text,
  -- read once, in the mint's transaction; automatic turns into acknowledge after a mendable refusal
  acceptance text check (acceptance in ('acknowledge', 'redeem', 'automatic')),
  imported_session_id uuid,
  created_at timestamptz not null default handoff_now(),
  ended_at timestamptz,
  -- when the relay last compared the row with Temporal
  checked_at timestamptz not null default handoff_now()
);
create index onboarding_issuer on onboarding (issuer_id, token_id);
create index onboarding_partner on onboarding (partner_id, token_id);
create index onboarding_open on onboarding (checked_at) where ended_at is null;

create table onboarding_step (
  token_id uuid not null references onboarding,
  step text not null check (step in ('mint', 'deliver', 'wait', 'import', 'notify')),
  started_at timestamptz not null,
  finished_at timestamptz,
  attempts integer not null default 1,
  result text,
  primary key (token_id, step)
);

create table acknowledgement (
  acknowledgement_id uuid primary key,
  token_id uuid not null,
  partner_id uuid not null references application,
  accept boolean not null,
  workflow_id uuid,
  vendor_data text,
  -- null is a choice of its own for vendor_data: "none"
  vendor_data_given boolean not null default false,
  trust_review boolean,
  reason text,
  state text not null check (state in ('unspent', 'spent', 'redeemed', 'refused', 'withdrawn')),
  spent_code text,
  spent_field text,
  body_sha256 bytea not null,
  created_at timestamptz not null
);
create unique index acknowledgement_unspent on acknowledgement (token_id) where state = 'unspent';
create index acknowledgement_token on acknowledgement (token_id);

-- ---------------------------------------------------------------- events and deliveries

create table event (
  event_id uuid primary key,
  application_id uuid not null references application,
  type text not null,
  token_id uuid,
  session_id uuid,
  actor_kind text not null,
  actor_id text,
  request_id text,
  -- sha256 over salt and canonical payload: proves the payload while it lives, says nothing after its deletion
  salt bytea not null,
  digest bytea not null,
  -- makes "this fact, to this application" happen once
  dedupe_key text not null unique,
  created_at timestamptz not null default handoff_now()
);
create index event_token on event (token_id) where token_id is not null;
create index event_session on event (session_id) where session_id is not null;

create table event_payload (
  event_id uuid primary key references event,
  application_id uuid not null references application,
  payload bytea not null
);

create table webhook_destination (
  destination_id uuid primary key,
  application_id uuid not null references application,
  label text not null,
  url text not null,
  enabled boolean not null default true,
  subscribed_events text[] not null,
  payload_mode text not null default 'full' check (payload_mode in ('full', 'thin')),
  created_at timestamptz not null default handoff_now(),
  updated_at timestamptz not null default handoff_now(),
  deleted_at timestamptz
);
create unique index webhook_destination_url on webhook_destination (application_id, url) where deleted_at is null;

create table webhook_secret (
  secret_id uuid primary key,
  destination_id uuid not null references webhook_destination,
  application_id uuid not null references application,
  sealed bytea not null,
  created_at timestamptz not null default handoff_now(),
  expires_at timestamptz
);
create index webhook_secret_destination on webhook_secret (destination_id);

-- One per event and destination decides who sends: the onboarding's run, the sender, or a WebhookDelivery run.
create table delivery (
  delivery_id uuid primary key,
  event_id uuid not null references event,
  destination_id uuid not null references webhook_destination,
  application_id uuid not null references application,
  owner text not null check (owner in ('onboarding', 'sender', 'run')),
  state text not null default 'pending'
    check (state in ('pending', 'retrying', 'delivered', 'gone', 'blocked', 'aborted', 'exhausted', 'stopped', 'held')),
  attempts integer not null default 0,
  next_at timestamptz not null default handoff_now(),
  lease_until timestamptz,
  last_reason text,
  created_at timestamptz not null default handoff_now(),
  ended_at timestamptz,
  unique (event_id, destination_id)
);
create index delivery_due on delivery (next_at) where ended_at is null and owner = 'sender';
create index delivery_token on delivery (event_id) where ended_at is null and owner = 'onboarding';
create index delivery_destination on delivery (destination_id, delivery_id);

create table delivery_attempt (
  delivery_id uuid not null references delivery,
  attempt integer not null,
  application_id uuid not null references application,
  trigger text not null default 'auto' check (trigger in ('auto', 'manual', 'replay')),
  state text not null default 'started' check (state in ('started', 'delivered', 'failed', 'unknown')),
  started_at timestamptz not null,
  duration_ms integer,
  connected_ip text,
  response_status integer,
  response_head text,
  reason text,
  primary key (delivery_id, attempt)
);

create index delivery_attempt_started on delivery_attempt (started_at) where state = 'started';

-- What a verb wants from Temporal or the network, written in its transaction; taken away once done.
create table outbox (
  outbox_id bigint generated always as identity primary key,
  wish text not null check (wish in ('start', 'signal', 'dispatch', 'retry_delivery')),
  token_id uuid,
  subject_id uuid not null,
  signal text,
  created_at timestamptz not null default handoff_now(),
  due_at timestamptz not null default handoff_now(),
  attempts integer not null default 0
);
create index outbox_due on outbox (due_at);
create index outbox_subject on outbox (subject_id);
create index outbox_token on outbox (token_id, outbox_id) where token_id is not null;

-- ---------------------------------------------------------------- idempotency

create table idempotency_key (
  scope text not null,
  key text not null,
  route text not null,
  body_sha256 bytea not null,
  status integer not null,
  resource_id uuid not null,
  created_at timestamptz not null,
  primary key (scope, key)
);
create index idempotency_key_age on idempotency_key (created_at);
