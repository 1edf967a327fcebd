-- Up Migration

-- Keys that sign share tokens, sealed with KEY_ENCRYPTION_KEYS; only the server and the webhooks worker can open them.
--   pending: verifies, so that every process has it when it becomes the one that signs
--   active: signs what is new; one at most
--   retiring: verifies, and makes again, the tokens that it signed
--   removed: nothing is left but its name, which no other key ever takes
alter table signing_key
  add column state text not null default 'retiring' check (state in ('pending', 'active', 'retiring', 'removed')),
  add column sealed bytea,
  add column activated_at timestamptz,
  add column retired_at timestamptz,
  add column removed_at timestamptz,
  -- when no token of a removed key was open any more; until then the relay looks for some
  add column swept_at timestamptz,
  add check ((state = 'removed') = (removed_at is not null)),
  add check (state <> 'removed' or sealed is null);
alter table signing_key alter column state drop default;
alter table signing_key rename column registered_at to created_at;

-- The ids that processes registered are taken over with their keys when a server brings these; the first one is active then.
update signing_key set retired_at = handoff_now();
drop index signing_key_active;
alter table signing_key drop column active;
create unique index signing_key_active on signing_key (state) where state = 'active';
create index signing_key_unswept on signing_key (kid) where state = 'removed' and swept_at is null;

-- Open tokens of a key: those that ran out stay without an ending, when nobody waits for one.
drop index share_token_open_kid;
create index share_token_open_kid on share_token (kid, expires_at) where closed_at is null;
