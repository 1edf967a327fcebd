-- Up Migration

-- ---------------------------------------------------------------- accounts (/auth/v2)

create table organization (
  organization_id uuid primary key,
  name text not null,
  created_at timestamptz not null default handoff_now(),
  updated_at timestamptz not null default handoff_now()
);

-- A person of an organization, who logs in. The address is sealed; it is found by its blind index.
create table account (
  account_id uuid primary key,
  -- made when the address is proven
  organization_id uuid references organization,
  email_index bytea not null unique,
  email bytea not null,
  -- none while the address waits for its proof and was registered with several passwords
  password_hash text,
  verified_at timestamptz,
  created_at timestamptz not null default handoff_now(),
  check ((organization_id is null) = (verified_at is null)),
  check (verified_at is null or password_hash is not null)
);
create index account_organization on account (organization_id);

-- Failed logins and mails of an address, whether it has an account or not: so neither tells which addresses have one.
create table email_throttle (
  email_index bytea primary key,
  failed_logins integer not null default 0,
  locked_until timestamptz,
  -- the try that locked is being checked; null when it has failed
  lock_checked_until timestamptz,
  mailed_at timestamptz,
  touched_at timestamptz not null default handoff_now()
);
create index email_throttle_age on email_throttle (touched_at);

-- HMAC under our key: a hash alone of six characters is guessed in seconds.
create table one_time_code (
  account_id uuid primary key references account on delete cascade,
  code_hmac bytea not null,
  expires_at timestamptz not null,
  attempts integer not null default 0
);

-- One login: an access token names it, and dies with it.
create table login (
  login_id uuid primary key,
  account_id uuid not null references account on delete cascade,
  created_at timestamptz not null default handoff_now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);
create index login_account on login (account_id);

-- A refresh token works once, as long as its login lives; one that comes a second time ends the login.
create table refresh_token (
  token_sha256 bytea primary key,
  login_id uuid not null references login on delete cascade,
  issued_at timestamptz not null default handoff_now(),
  used_at timestamptz
);
create index refresh_token_login on refresh_token (login_id);

alter table application
  add column organization_id uuid references organization,
  add column client_id text unique,
  add column website_url text,
  add column redirect_uris text[] not null default '{}',
  add column terms_url text,
  add column privacy_url text,
  add column description text,
  add column updated_at timestamptz not null default handoff_now();
create index application_organization on application (organization_id) where organization_id is not null;

alter table api_key
  -- empty: from everywhere
  add column allowed_addresses cidr[] not null default '{}',
  add column last_used_at timestamptz,
  add column created_by uuid;

-- An API key's id is no UUID.
alter table idempotency_key alter column resource_id type text;

-- ---------------------------------------------------------------- verification workflows

-- Every version; the first has the workflow's own id. `features` is Didit's array of {feature, config, label}.
create table verification_workflow_version (
  version_id uuid primary key,
  workflow_id uuid not null references verification_workflow on delete cascade,
  application_id uuid not null references application,
  version integer not null,
  status text not null check (status in ('draft', 'published')),
  label text not null,
  features jsonb not null default '[]',
  settings jsonb not null default '{}',
  -- the API key that made it
  created_by text,
  created_at timestamptz not null default handoff_now(),
  updated_at timestamptz not null default handoff_now(),
  published_at timestamptz,
  unique (workflow_id, version)
);
create index verification_workflow_version_application on verification_workflow_version (application_id, created_at desc);
alter table verification_workflow
  -- the version in use: the latest published one; null while there are drafts only
  add column published_version integer default 1,
  -- the highest number that was given out: that of a deleted version is never given again
  add column last_version integer not null default 1;
insert into verification_workflow_version (version_id, workflow_id, application_id, version, status, label, published_at)
  select workflow_id, workflow_id, application_id, 1, 'published', label, created_at from verification_workflow;

-- ---------------------------------------------------------------- sessions

alter table session
  add column session_type text not null default 'MIGRATED' check (session_type in ('API', 'HOSTED', 'MIGRATED')),
  add column workflow_version integer not null default 1,
  -- the status that the session was made with
  add column first_status text,
  -- facts that lists are filtered by; codes, not names
  add column country text,
  add column document_type text,
  add column warnings text[] not null default '{}',
  -- SHA-256 of the hosted flow's session token
  add column hosted_token_sha256 bytea unique,
  -- when the content's event of its source was made and when sent: what is older never replaces it
  add column content_at timestamptz,
  add column content_sent_at timestamptz,
  -- the last events of that same second: one that comes again is none that is newer
  add column content_events text[] not null default '{}';
-- Lists: unfiltered pages of one kind use the unique number, those of both kinds the id, which is ordered by time.
create index session_newest on session (application_id, session_id desc);
create index session_status on session (application_id, session_kind, status, session_number desc);
create index session_workflow on session (application_id, workflow_id, session_number desc) where workflow_id is not null;
create index session_created on session (application_id, created_at);

-- Blind index: HMACs of names, e-mails and document numbers, for exact search within one application.
create table session_search (
  application_id uuid not null references application,
  term bytea not null,
  session_id uuid not null references session on delete cascade deferrable initially deferred,
  primary key (application_id, term, session_id)
);
create index session_search_session on session_search (session_id);

-- ---------------------------------------------------------------- media

-- Stored bytes, by the hash of what is stored. Taken away when no session refers to them any more.
create table media_object (
  object_key text primary key,
  byte_length bigint not null,
  stored_at timestamptz not null default handoff_now(),
  -- when to see whether a session still refers to it; null while nothing says otherwise
  check_at timestamptz
);
create index media_object_check on media_object (check_at) where check_at is not null;

-- A session's files. A payload names one as "handoff-media:<media id>"; a clone has the same media ids under its own session.
create table session_media (
  session_id uuid not null references session on delete cascade deferrable initially deferred,
  application_id uuid not null references application,
  media_id uuid not null,
  -- null until it has been fetched
  object_key text references media_object,
  content_type text,
  byte_length bigint,
  created_at timestamptz not null default handoff_now(),
  primary key (session_id, media_id)
);
create index session_media_object on session_media (object_key) where object_key is not null;
create index session_media_media on session_media (media_id);
create index session_media_pending on session_media (media_id) where object_key is null;

-- However references go, their objects are looked at soon after; in one order, since clones share them.
create function look_at_media_objects() returns trigger language plpgsql as $$
begin
  perform 1 from media_object where object_key in (select object_key from gone) order by object_key for no key update;
  update media_object set check_at = greatest(check_at, handoff_now())
    where object_key in (select object_key from gone);
  return null;
end
$$;
create trigger session_media_gone after delete on session_media
  referencing old table as gone for each statement execute function look_at_media_objects();

-- Files that are still with the source: fetched by the webhooks worker, soon, since their links expire.
create table media_fetch (
  media_id uuid primary key,
  session_id uuid not null,
  application_id uuid not null references application,
  url bytea not null,
  -- a row goes once its file is here
  state text not null default 'pending' check (state in ('pending', 'failed')),
  -- of the source that failed
  attempts integer not null default 0,
  -- when it is tried next; moved on before an attempt, so that one that dies is made again
  next_at timestamptz not null default handoff_now(),
  last_reason text,
  created_at timestamptz not null default handoff_now()
);
create index media_fetch_session on media_fetch (session_id);
create index media_fetch_due on media_fetch (session_id, next_at, media_id) where state = 'pending';
create index media_fetch_overdue on media_fetch (next_at) where state = 'pending';

-- ---------------------------------------------------------------- users and businesses

alter table entity
  alter column vendor_data drop not null,
  -- names, birth date, addresses, metadata: sealed
  add column profile bytea,
  add column first_session_at timestamptz,
  add column last_session_at timestamptz,
  add column updated_at timestamptz not null default handoff_now();
create index entity_list on entity (application_id, session_kind, last_session_at desc nulls last, entity_id desc);
-- Sessions that were taken in made no entity so far.
insert into entity (entity_id, application_id, session_kind, vendor_data, first_session_at, last_session_at)
  select gen_random_uuid(), application_id, session_kind, vendor_data, min(created_at), max(created_at)
  from session where vendor_data is not null group by application_id, session_kind, vendor_data
  on conflict (application_id, session_kind, vendor_data) do update
    set first_session_at = excluded.first_session_at, last_session_at = excluded.last_session_at;

create table entity_comment (
  comment_id uuid primary key,
  entity_id uuid not null references entity on delete cascade,
  application_id uuid not null references application,
  comment_type text not null,
  previous_status text,
  new_status text,
  payload bytea not null,
  created_at timestamptz not null default handoff_now()
);
create index entity_comment_entity on entity_comment (entity_id, created_at);

-- ---------------------------------------------------------------- taking in

-- The secret with which Didit signs what it sends to an application's ingestion route.
create table ingest_secret (
  application_id uuid primary key references application,
  sealed bytea not null,
  -- the one before it, which goes on verifying until this time
  previous bytea,
  previous_until timestamptz,
  updated_at timestamptz not null default handoff_now()
);

-- A file of sessions, taken in part by part by a SessionImport run.
create table session_import (
  import_id uuid primary key,
  application_id uuid not null references application,
  environment text not null,
  import_type text not null check (import_type in ('user_verification', 'business_verification')),
  provider text not null,
  workflow_id uuid not null,
  workflow_version integer not null,
  file_format text not null check (file_format in ('csv', 'ndjson')),
  source_filename bytea,
  status text not null default 'pending' check (status in ('pending', 'processing', 'completed', 'failed', 'cancelled')),
  parts integer not null,
  next_part integer not null default 0,
  total_rows integer not null,
  processed_rows integer not null default 0,
  created_count integer not null default 0,
  updated_count integer not null default 0,
  skipped_count integer not null default 0,
  failed_count integer not null default 0,
  -- row number in the file of the last row that was looked at
  checkpoint_row integer not null default 0,
  -- of files inside its rows that are stored
  total_media_bytes bigint not null default 0,
  total_bytes bigint not null,
  last_error text,
  created_by text,
  created_at timestamptz not null default handoff_now(),
  updated_at timestamptz not null default handoff_now(),
  started_at timestamptz,
  completed_at timestamptz,
  -- when the relay last compared the row with Temporal
  checked_at timestamptz not null default handoff_now()
);
create index session_import_application on session_import (application_id, import_id desc);
create index session_import_open on session_import (checked_at) where completed_at is null;
create index session_import_open_of on session_import (application_id) where completed_at is null;

-- The file, cut between rows; taken away as its rows are in.
create table session_import_part (
  import_id uuid not null references session_import on delete cascade,
  position integer not null,
  application_id uuid not null references application,
  payload bytea not null,
  primary key (import_id, position)
);

create table session_import_error (
  import_id uuid not null references session_import on delete cascade,
  row_number integer not null,
  application_id uuid not null references application,
  payload bytea not null,
  primary key (import_id, row_number)
);

alter table outbox drop constraint outbox_wish_check;
alter table outbox add constraint outbox_wish_check
  check (wish in ('start', 'signal', 'dispatch', 'retry_delivery', 'start_import', 'fetch_media'));

-- ---------------------------------------------------------------- the log of deliveries

-- Every attempt is a row of its own in the log; one by hand stands beside the schedule and takes no number of it.
alter table delivery_attempt
  drop constraint delivery_attempt_pkey,
  drop constraint delivery_attempt_state_check,
  add column attempt_id uuid not null default gen_random_uuid() primary key,
  add column destination_id uuid references webhook_destination,
  add column request_url text,
  -- as sent: signatures and times, no secret; null until something was sent
  add column request_headers jsonb,
  add column created_at timestamptz not null default handoff_now(),
  alter column started_at drop not null,
  add constraint delivery_attempt_state_check
    check (state in ('pending', 'started', 'delivered', 'failed', 'unknown'));
update delivery_attempt a set destination_id = d.destination_id, request_url = w.url, created_at = a.started_at
  from delivery d join webhook_destination w using (destination_id) where d.delivery_id = a.delivery_id;
alter table delivery_attempt alter column destination_id set not null, alter column request_url set not null;
create unique index delivery_attempt_scheduled on delivery_attempt (delivery_id, attempt) where trigger = 'auto';
create index delivery_attempt_delivery on delivery_attempt (delivery_id);
create index delivery_attempt_log on delivery_attempt (destination_id, created_at desc, attempt_id desc);
create index delivery_attempt_pending on delivery_attempt (created_at) where state = 'pending';

-- ---------------------------------------------------------------- rate limits

-- Calls of a key in one window; lost in a crash, which costs nobody anything.
create unlogged table rate_limit_window (
  bucket text not null,
  window_start timestamptz not null,
  ends_at timestamptz not null,
  -- may exceed the limit by the last lease, of which less was granted
  used bigint not null,
  primary key (bucket, window_start)
);
create index rate_limit_window_end on rate_limit_window (ends_at);
