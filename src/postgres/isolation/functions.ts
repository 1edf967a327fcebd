/**
 * What policies ask. The settings are put into queries as text, so that indexes serve conditions on them. All else is
 * looked up by functions that run as `handoff_lookup`: a policy that read tables itself would be under the policies of
 * those, and be planned anew with them in each statement.
 */
export const SETTINGS = `
-- Who the transaction acts for; null for nobody.
create or replace function handoff_tenant() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('handoff.tenant', true), '')::uuid $$;
-- The share that it acts on.
create or replace function handoff_token() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('handoff.token', true), '')::uuid $$;
`;

/** Created by the role that they run as, with its schema alone in the search path. */
export const LOOKUPS = `
-- Whether the transaction acts for one of these sides, or for neither, as the run of the share that it names.
create or replace function handoff_concerns(token uuid, issuer uuid, partner uuid) returns boolean language sql stable
  as $$ select handoff_tenant() in (issuer, partner) or (handoff_tenant() is null and token = handoff_token()) $$;

-- Whether a share is the transaction's, and this application one of its sides.
create or replace function handoff_is_side(of_token uuid, application uuid) returns boolean
  language plpgsql stable security definer set search_path from current as $$
begin return exists (
    select 1 from share_token t where t.token_id = of_token and application in (t.issuer_id, t.partner_id)
      and handoff_concerns(t.token_id, t.issuer_id, t.partner_id))
  or exists (
    select 1 from onboarding o where o.token_id = of_token and application in (o.issuer_id, o.partner_id)
      and handoff_concerns(o.token_id, o.issuer_id, o.partner_id));
end $$;

-- Whether a share is the transaction's.
create or replace function handoff_has_share(of_token uuid) returns boolean
  language plpgsql stable security definer set search_path from current as $$
begin return exists (
    select 1 from share_token t where t.token_id = of_token and handoff_concerns(t.token_id, t.issuer_id, t.partner_id))
  or exists (
    select 1 from onboarding o where o.token_id = of_token and handoff_concerns(o.token_id, o.issuer_id, o.partner_id));
end $$;

-- Whether a token is of the tenant's own sessions.
create or replace function handoff_has_issued(of_token uuid) returns boolean
  language plpgsql stable security definer set search_path from current as $$
begin return exists (
  select 1 from share_token t where t.token_id = of_token and t.issuer_id = handoff_tenant());
end $$;

-- Whether this is a token that is open, of this session and these sides, and the tenant its partner.
create or replace function handoff_may_redeem(of_token uuid, session uuid, issuer uuid, partner uuid) returns boolean
  language plpgsql stable security definer set search_path from current as $$
begin return partner = handoff_tenant() and exists (
  select 1 from share_token t where (t.token_id, t.session_id, t.issuer_id, t.partner_id) = (of_token, session, issuer, partner)
    and t.closed_at is null);
end $$;

-- Whether an event, or a delivery's, is about a share of the transaction, and told to one of its sides.
create or replace function handoff_is_shared_event(of_event uuid) returns boolean
  language plpgsql stable security definer set search_path from current as $$
begin return exists (
  select 1 from event e where e.event_id = of_event and handoff_is_side(e.token_id, e.application_id));
end $$;
create or replace function handoff_is_shared_delivery(of_delivery uuid) returns boolean
  language plpgsql stable security definer set search_path from current as $$
begin return exists (
  select 1 from delivery d where d.delivery_id = of_delivery and handoff_is_shared_event(d.event_id));
end $$;

-- Whether a connection is the tenant's; the application, one that it has a connection with.
create or replace function handoff_has_connection(of_connection uuid) returns boolean
  language plpgsql stable security definer set search_path from current as $$
begin return exists (
  select 1 from connection c where c.connection_id = of_connection and handoff_tenant() in (c.issuer_id, c.partner_id));
end $$;
create or replace function handoff_is_connected(application uuid) returns boolean
  language plpgsql stable security definer set search_path from current as $$
begin return exists (
  select 1 from connection c where (c.issuer_id, c.partner_id) in ((application, handoff_tenant()), (handoff_tenant(), application)));
end $$;

-- Both sides of the share that is named: for each of them, and for its run.
create or replace function handoff_sides() returns uuid[]
  language plpgsql stable security definer set search_path from current as $$
begin return coalesce(
  (select array[t.issuer_id, t.partner_id] from share_token t
   where t.token_id = handoff_token() and handoff_concerns(t.token_id, t.issuer_id, t.partner_id)),
  (select array[o.issuer_id, o.partner_id] from onboarding o
   where o.token_id = handoff_token() and handoff_concerns(o.token_id, o.issuer_id, o.partner_id)));
end $$;

-- What the named share is of, and the people that this brings along, while it is open: for its partner once there is a
-- token, and for its run, which acts for neither side.
create or replace function handoff_shared(for_run boolean) returns uuid[]
  language plpgsql stable security definer set search_path from current as $$
declare source uuid;
begin
  source := (select t.session_id from share_token t
    where t.token_id = handoff_token() and t.closed_at is null
      and case when for_run then handoff_tenant() is null else t.partner_id = handoff_tenant() end);
  if source is null and for_run and handoff_tenant() is null then
    source := (select o.session_id from onboarding o where o.token_id = handoff_token() and o.ended_at is null);
  end if;
  if source is null then return '{}'; end if;
  return array[source] || array(
    select f.person_session_id from session_person_found f
    where f.session_id = source and f.person_session_id is not null);
end $$;

-- The same once this very transaction has redeemed the token: only then may it be copied.
create or replace function handoff_redeemed() returns uuid[]
  language plpgsql stable security definer set search_path from current as $$
declare shared uuid[] := handoff_shared(false);
begin
  if exists (
    select 1 from redemption r where r.token_id = handoff_token() and r.partner_id = handoff_tenant()
      and r.source_session_id = shared[1] and r.xmin = pg_current_xact_id()::xid)
  then return shared; end if;
  return '{}';
end $$;
`;

/** What has ended stays so, whichever statement an operation thinks of: nobody under the policies changes an ending. */
export const ENDINGS = `
create or replace function handoff_refuse_reopening() returns trigger language plpgsql as $$
begin raise exception 'what has ended is not changed' using errcode = '42501';
end $$;
create or replace trigger handoff_ended before update on share_token for each row
  when ((new.closed_at, new.closed_as, new.closed_reason) is distinct from (old.closed_at, old.closed_as, old.closed_reason)
    and old.closed_at is not null and row_security_active('share_token'::regclass))
  execute function handoff_refuse_reopening();
create or replace trigger handoff_ended before update on onboarding for each row
  when ((new.ended_at, new.status, new.imported_session_id) is distinct from (old.ended_at, old.status, old.imported_session_id)
    and old.ended_at is not null and row_security_active('onboarding'::regclass))
  execute function handoff_refuse_reopening();
create or replace trigger handoff_ended before update on redemption for each row
  when (new.released_at is distinct from old.released_at and old.released_at is not null and row_security_active('redemption'::regclass))
  execute function handoff_refuse_reopening();
`;
