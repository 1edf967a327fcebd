import type { Transaction } from './tenants.ts';

/** Something that acts on writes to a table of the trail: it could keep an event from ever being there. */
export interface Interference {
  readonly kind: 'trigger' | 'rule';
  readonly table: string;
  readonly name: string;
  /** It is this build's own, and not there as this build makes it. */
  readonly isMissing: boolean;
}

const TABLES = ['event', 'event_payload', 'audit_unsealed', 'audit_chain', 'audit_head', 'audit_anchor'];

/** The one that every new event goes through to be sealed (migration 0005), and what it runs. */
const OWN = {
  table: 'event',
  name: 'event_queued_for_audit',
  definition:
    'CREATE TRIGGER event_queued_for_audit AFTER INSERT ON public.event FOR EACH ROW EXECUTE FUNCTION queue_for_audit()',
  body: 'begin insert into audit_unsealed (application_id, event_id) values (new.application_id, new.event_id); return null; end',
};

/** Triggers and rules of the trail's tables that are not as this build makes them. The search path has to be `public`. */
export async function readInterference(sql: Pick<Transaction, 'query'>): Promise<Interference[]> {
  const rows = await sql.query<{ kind: 'trigger' | 'rule'; table: string; name: string; isOwn: boolean }>(
    `select 'trigger' as kind, c.relname as table, t.tgname as name,
       pg_get_triggerdef(t.oid) = $2 and t.tgenabled = 'O' and not p.prosecdef and p.proconfig is null
         and btrim(regexp_replace(p.prosrc, '\\s+', ' ', 'g')) = $3 as "isOwn"
     from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
     where c.relnamespace = 'public'::regnamespace and c.relname = any ($1) and not t.tgisinternal
     union all
     select 'rule', c.relname, r.rulename, false from pg_rewrite r join pg_class c on c.oid = r.ev_class
     where c.relnamespace = 'public'::regnamespace and c.relname = any ($1)
     order by 1, 2, 3`,
    [TABLES, OWN.definition, OWN.body],
  );
  const foreign = rows.filter(({ isOwn }) => !isOwn);
  const isThere = rows.some(({ isOwn }) => isOwn);
  return [
    ...foreign
      .filter(({ name, table }) => isThere || name !== OWN.name || table !== OWN.table)
      .map(({ kind, table, name }) => ({ kind, table, name, isMissing: false })),
    ...(isThere ? [] : [{ kind: 'trigger' as const, table: OWN.table, name: OWN.name, isMissing: true }]),
  ];
}
