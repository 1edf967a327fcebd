-- Up Migration

-- ---------------------------------------------------------------- data keys

-- One per session, wrapped for its application. Whoever erases a session deletes its row: no copy of the content that is
-- left somewhere can be opened then. A clone has the key of its source, wrapped for its own application.
create table session_key (
  session_id uuid primary key references session on delete cascade deferrable initially deferred,
  application_id uuid not null references application,
  -- the session that the key was made for
  key_id uuid not null,
  wrapped bytea not null
);

-- The keys of what a token shares, its source and the people of a business, wrapped for the partner by the mint, so that
-- redeeming is SQL alone. They go when the token is spent, ends, or loses its source.
create table token_key (
  token_id uuid not null references share_token,
  session_id uuid not null,
  key_id uuid not null,
  wrapped bytea not null,
  -- the token's: what ran out is looked for here alone
  expires_at timestamptz not null,
  primary key (token_id, session_id)
);
create index token_key_session on token_key (session_id);
create index token_key_expiry on token_key (expires_at);

-- A payload of a session as it is opened: 0x03, length of the wrapped key, wrapped key, payload. Without a key, as it is.
create function with_key(of_session uuid, payload bytea) returns bytea language sql stable as $$
  select coalesce(
    (select '\x03'::bytea || substring(int4send(octet_length(k.wrapped)) from 3) || k.wrapped || payload
     from session_key k where k.session_id = of_session),
    payload)
$$;

-- ---------------------------------------------------------------- free text of persons, sealed

-- What is there becomes a plain payload (0x00), which an operator has sealed (`keys -- adopt-plain`). A process of an older
-- release that still runs writes text: that is refused, instead of lying there plain.
alter table connection_agreement
  alter column signer type bytea using '\x00'::bytea || convert_to(to_json(signer)::text, 'UTF8'),
  add check (substring(signer for 1) in ('', '\x00', '\x01'));
-- A partner's own words of a person whom it refuses.
alter table acknowledgement
  alter column reason type bytea using '\x00'::bytea || convert_to(to_json(reason)::text, 'UTF8'),
  add check (substring(reason for 1) in ('', '\x00', '\x01'));
-- A receiver's reply may repeat its request.
alter table delivery_attempt
  alter column response_head type bytea using '\x00'::bytea || convert_to(response_head, 'UTF8'),
  add check (substring(response_head for 1) in ('', '\x00', '\x01'));
