-- Up Migration

-- ---------------------------------------------------------------- events: why, and of which state

alter table event
  -- code or short enum: why it was done
  add column reason text,
  -- sha256 over the event's salt and the canonical state of its subject: before the event, and after it
  add column before_sha256 bytea,
  add column after_sha256 bytea;

-- What the platform itself did is told of the nil UUID, which no application has.
alter table event drop constraint event_application_id_fkey;
alter table event_payload drop constraint event_payload_application_id_fkey;
alter table event_sequence drop constraint event_sequence_application_id_fkey;

-- ---------------------------------------------------------------- the chain over them

-- Events that the relay has not sealed yet: inserted and deleted, never updated, so that no verb waits for another here.
create table audit_unsealed (
  event_id uuid primary key,
  application_id uuid not null,
  queued_id bigint generated always as identity
);
create index audit_unsealed_application on audit_unsealed (application_id, queued_id);

create function queue_for_audit() returns trigger language plpgsql as $$
begin
  insert into audit_unsealed (application_id, event_id) values (new.application_id, new.event_id);
  return null;
end $$;
create trigger event_queued_for_audit after insert on event for each row execute function queue_for_audit();

-- Append-only. Positions of an application count from 1 without gaps.
create table audit_chain (
  application_id uuid not null,
  position bigint not null check (position > 0),
  event_id uuid not null unique references event,
  row_sha256 bytea not null,
  -- sha256 over the previous one, the position, row_sha256 and sealed_at
  chain_sha256 bytea not null,
  sealed_at timestamptz not null,
  primary key (application_id, position)
);

-- Where each chain ends, and what the relay knows of its anchors. For the relay's speed: it proves nothing.
create table audit_head (
  application_id uuid primary key,
  position bigint not null default 0,
  chain_sha256 bytea,
  anchored_position bigint not null default 0,
  -- when a relay last set out to anchor it
  anchor_begun_at timestamptz
);
create index audit_head_unanchored on audit_head (application_id) where position > anchored_position;

-- Copies of the signed anchors, for exports: what counts is kept outside the database. Append-only.
create table audit_anchor (
  application_id uuid not null,
  position bigint not null,
  anchored_at timestamptz not null,
  chain_sha256 bytea not null,
  key_id text not null,
  signature bytea not null,
  primary key (application_id, position, anchored_at)
);

insert into audit_unsealed (application_id, event_id)
select application_id, event_id from event order by created_at, event_id;
