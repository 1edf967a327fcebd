-- Up Migration

-- ---------------------------------------------------------------- events that are told to nobody

alter table event
  -- the line that receivers see: what is told to nobody takes no number of it
  alter column sequence drop not null,
  -- of its payload: what is told to nobody has none
  alter column digest drop not null,
  -- the API key that an event is about, whose id is no UUID
  add column key_id text;

-- ---------------------------------------------------------------- reading the trail

-- Pages and counts by type and kind of actor are read from the index alone.
drop index event_application;
create index event_application on event (application_id, created_at, event_id) include (type, actor_kind);
create index event_actor on event (application_id, actor_id, created_at, event_id) where actor_id is not null;
create index event_request on event (application_id, request_id) where request_id is not null;
drop index event_entity;
create index event_subject on event (subject_id);

-- What became of a session: every token of it, not the open ones alone.
drop index share_token_open_session;
create index share_token_session on share_token (session_id, token_id desc);

-- Where an export begins that wants the events since a time: none is sealed before it is there.
create index audit_chain_sealed on audit_chain (application_id, sealed_at);
