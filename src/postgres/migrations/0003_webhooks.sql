-- Up Migration

-- ---------------------------------------------------------------- events: one rising number per subject

alter table event
  -- what the sequence counts: the session, else the share token, else the user, business or destination
  add column subject_id uuid,
  add column sequence bigint;
update event e set subject_id = coalesce(e.session_id, e.token_id, e.event_id);
update event e set sequence = n.sequence from (
  select event_id, row_number() over (partition by application_id, subject_id order by created_at, event_id) as sequence
  from event) n where n.event_id = e.event_id;
alter table event alter column subject_id set not null, alter column sequence set not null;

create table event_sequence (
  application_id uuid not null references application,
  subject_id uuid not null,
  last bigint not null,
  primary key (application_id, subject_id)
);
insert into event_sequence select application_id, subject_id, max(sequence) from event group by application_id, subject_id;

-- Volatile, so that it sees what was committed while its caller waited for the lock of a sequence.
create function event_is_told(key text) returns boolean language plpgsql volatile as
  'begin return exists (select 1 from event where dedupe_key = key); end';

create index event_application on event (application_id, created_at, event_id);
-- What was told of users and businesses, which goes with them.
create index event_entity on event (subject_id) where session_id is null and token_id is null;

-- Its own time, so that looking for what is too old passes over the events whose payload is gone.
alter table event_payload add column created_at timestamptz;
update event_payload p set created_at = e.created_at from event e where e.event_id = p.event_id;
alter table event_payload alter column created_at set not null, alter column created_at set default handoff_now();
create index event_payload_age on event_payload (created_at);

-- ---------------------------------------------------------------- destinations

alter table webhook_destination
  -- which secret signs Didit's headers, which hold one value, while two are live
  add column didit_headers_signed_with text not null default 'previous'
    check (didit_headers_signed_with in ('previous', 'current')),
  -- why it is not enabled: its owner's wish, or what we did on our own
  add column disabled_reason text check (disabled_reason in ('owner', 'gone', 'receiver', 'failing', 'blocked')),
  add column disabled_at timestamptz;
update webhook_destination set disabled_reason = 'owner', disabled_at = updated_at where not enabled;

-- How a destination fares, shared by all senders. Locked before deliveries; written by failures, and by a success
-- after one, so that a healthy destination has no hot row.
create table webhook_health (
  destination_id uuid primary key references webhook_destination,
  application_id uuid not null references application,
  consecutive_failures integer not null default 0,
  -- open: nothing goes out before this time, and then one probe
  circuit_open_until timestamptz,
  -- the probe under way, while the circuit is open
  probe_until timestamptz,
  -- attempts before this do not count for the circuit
  circuit_closed_at timestamptz not null default handoff_now(),
  -- the receiver asked for time: it gets nothing
  slow_until timestamptz,
  -- it was overloaded: one request at a time until then, or until a success
  single_until timestamptz,
  -- the first failure since the last success
  failing_since timestamptz,
  last_success_at timestamptz,
  -- per cent of the five days that the owner was told of: 0, 50, 75 or 100
  told_percent integer not null default 0,
  -- when the owner was last told
  told_at timestamptz
);
insert into webhook_health (destination_id, application_id) select destination_id, application_id from webhook_destination;

-- ---------------------------------------------------------------- deliveries

alter table delivery
  drop constraint delivery_owner_check,
  -- hand: a test send, which has no schedule
  add constraint delivery_owner_check check (owner in ('onboarding', 'sender', 'run', 'hand')),
  -- what its scheduled attempts say of themselves: replay once it was recovered, replayed or released
  add column trigger text not null default 'auto' check (trigger in ('auto', 'replay')),
  -- attempts before the schedule began again
  add column schedule_start integer not null default 0,
  -- when the relay last asked for its run
  add column checked_at timestamptz;
drop index delivery_due;
-- Loosely scanned for the destinations that have something waiting.
create index delivery_waiting on delivery (destination_id, next_at)
  where ended_at is null and owner = 'sender' and state <> 'held';
-- The runs that are late, the longest unasked for first.
create index delivery_overdue on delivery (greatest(next_at, checked_at)) where owner = 'run' and ended_at is null;
create index delivery_held on delivery (destination_id, created_at) where state = 'held';
-- What has to be held or stopped once its destination is switched off.
create index delivery_open on delivery (destination_id)
  where ended_at is null and state <> 'held' and owner in ('sender', 'run');
create index delivery_age on delivery (created_at);
create index delivery_by_hand on delivery (destination_id, created_at) where owner = 'hand';

alter table delivery_attempt
  -- what was seen of the reply beside its status
  add column body_truncated boolean,
  add column location_host text,
  add column hint text,
  -- members that its body lacked, for size or since its destination was thin at that time
  add column left_out text[] not null default '{}';
drop index delivery_attempt_scheduled;
create unique index delivery_attempt_scheduled on delivery_attempt (delivery_id, attempt) where trigger <> 'manual';
drop index delivery_attempt_started;
create index delivery_attempt_started on delivery_attempt (destination_id, started_at) where state = 'started';
