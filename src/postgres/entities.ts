import type { SessionKind } from '../domain/decision-categories.ts';
import type { EntityComment, EntityContent, EntityState } from '../domain/entity.ts';
import type { JsonObject } from '../domain/json.ts';
import type { EntityKey, EntityStore, LockedEntity, PayloadSealer, SealContext, SessionRow } from '../sharing/ports.ts';
import { eraseEvents } from './event-erasure.ts';
import { newId } from './new-id.ts';
import { uuidOrNull } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** `SessionStore.touchEntities`: one statement that makes, locks and looks, in one order for everybody. */
export async function touchEntities(
  tx: Transaction,
  applicationId: string,
  sessions: readonly Pick<SessionRow, 'kind' | 'vendorData' | 'createdAt'>[],
): Promise<boolean> {
  const named = sessions.filter(({ vendorData }) => vendorData !== null);
  if (named.length === 0) return false;
  const rows = await tx.query<{ status: string }>(
    `insert into entity (entity_id, application_id, session_kind, vendor_data, first_session_at, last_session_at)
     select gen_random_uuid(), $1, kind, vendor_data, min(at), max(at)
     from unnest($2::text[], $3::text[], $4::timestamptz[]) as s(kind, vendor_data, at)
     group by kind, vendor_data order by kind, vendor_data
     on conflict (application_id, session_kind, vendor_data) do update
       set first_session_at = least(entity.first_session_at, excluded.first_session_at),
         last_session_at = greatest(entity.last_session_at, excluded.last_session_at)
     returning status`,
    [
      applicationId,
      named.map(({ kind }) => kind),
      named.map(({ vendorData }) => vendorData),
      named.map(({ createdAt }) => createdAt),
    ],
  );
  return rows.some(({ status }) => status === 'BLOCKED');
}

/** `SessionStore.businessIdOf` */
export async function businessIdOf(
  tx: Transaction,
  { applicationId, kind, vendorData }: SessionRow,
): Promise<string | null> {
  if (kind !== 'business' || vendorData === null) return null;
  const [row] = await tx.query<{ id: string }>(
    `select entity_id as id from entity where application_id = $1 and session_kind = 'business' and vendor_data = $2`,
    [applicationId, vendorData],
  );
  return row?.id ?? null;
}

/** Whether any of these entities is there and blocked; locks none. */
export async function anyBlocked(
  tx: Transaction,
  applicationId: string,
  entities: readonly { kind: SessionKind; vendorData: string }[],
): Promise<boolean> {
  if (entities.length === 0) return false;
  const rows = await tx.query(
    `select 1 from entity e join unnest($2::text[], $3::text[]) as w(kind, vendor_data)
       on w.kind = e.session_kind and w.vendor_data = e.vendor_data
     where e.application_id = $1 and e.status = 'BLOCKED' limit 1`,
    [applicationId, entities.map(({ kind }) => kind), entities.map(({ vendorData }) => vendorData)],
  );
  return rows.length > 0;
}

/** Locks the entities of sessions that are about to go, and takes these sessions out of their first and last times. */
export function forgetSessionTimes(tx: Transaction, applicationId: string, sessionIds: readonly string[]): void {
  const names = `select distinct session_kind, vendor_data from session
     where application_id = $1 and session_id = any ($2::uuid[]) and vendor_data is not null`;
  tx.send(
    `select 1 from entity e join (${names}) gone using (session_kind, vendor_data)
     where e.application_id = $1 order by e.session_kind, e.vendor_data for no key update of e`,
    [applicationId, sessionIds],
  );
  // A statement of its own: it sees the sessions of those who had the lock before.
  tx.send(
    `update entity e set first_session_at = rest.first_at, last_session_at = rest.last_at
     from (
       select gone.session_kind, gone.vendor_data, min(s.created_at) as first_at, max(s.created_at) as last_at
       from (${names}) gone left join session s on s.application_id = $1 and s.session_kind = gone.session_kind
         and s.vendor_data = gone.vendor_data and s.session_id <> all ($2::uuid[])
       group by gone.session_kind, gone.vendor_data
     ) rest
     where e.application_id = $1 and e.session_kind = rest.session_kind and e.vendor_data = rest.vendor_data`,
    [applicationId, sessionIds],
  );
}

/** SQL of entities, for the verbs. */
export function entityStore(tx: Transaction, sealer: PayloadSealer): EntityStore {
  return {
    lock: async (key) => {
      const [row] = await tx.query<Omit<LockedEntity, keyof EntityContent> & { profile: Buffer | null }>(
        `select entity_id as "entityId", vendor_data as "vendorData", status, profile,
           (select a.environment from application a where a.application_id = entity.application_id) as environment
         from entity where ${BY_KEY} for update`,
        keyParameters(key),
      );
      if (row === undefined) return null;
      const { profile, ...entity } = row;
      return { ...entity, ...openContent(sealer, key.applicationId, entity.entityId, profile) };
    },
    update: (applicationId, entityId, { status, profile, metadata }, comments) => {
      tx.send(
        `update entity set status = $3, profile = $4, updated_at = handoff_now()
         where application_id = $1 and entity_id = $2`,
        [applicationId, entityId, status, sealContent(sealer, applicationId, entityId, { profile, metadata })],
      );
      for (const comment of comments) insertComment(tx, sealer, applicationId, entityId, comment);
    },
  };
}

/**
 * Which entity a key names, as a condition on parameters 1 to 4 with its order: one without `vendor_data` goes by its id,
 * unless that is another one's `vendor_data`, which sessions and imports may bring at any time.
 */
export const BY_KEY = `application_id = $1 and session_kind = $2
  and (vendor_data = $3 or (vendor_data is null and entity_id = $4))
  order by vendor_data nulls last limit 1`;

/** The parameters of {@link BY_KEY}. */
export function keyParameters({ applicationId, kind, name }: EntityKey): unknown[] {
  return [applicationId, kind, name, uuidOrNull(name)];
}

/**
 * Writes a new entity; one whose sessions are there already has their times.
 *
 * @returns its id, or null when another one has the `vendor_data`
 */
export async function insertEntity(
  tx: Transaction,
  sealer: PayloadSealer,
  key: Omit<EntityKey, 'name'> & { readonly vendorData: string | null },
  { status, profile, metadata }: EntityState,
): Promise<string | null> {
  const entityId = newId();
  const { applicationId, kind, vendorData } = key;
  const rows = await tx.query(
    `insert into entity (entity_id, application_id, session_kind, vendor_data, status, profile,
       first_session_at, last_session_at)
     select $1, $2, $3, $4, $5, $6, min(created_at), max(created_at) from session
     where application_id = $2 and session_kind = $3 and vendor_data = $4
     on conflict (application_id, session_kind, vendor_data) do nothing returning entity_id`,
    [
      entityId,
      applicationId,
      kind,
      vendorData,
      status,
      sealContent(sealer, applicationId, entityId, { profile, metadata }),
    ],
  );
  return rows.length === 0 ? null : entityId;
}

/** Which entities of a kind are to go. */
export type EntitySelection =
  | { readonly by: 'all' }
  | { readonly by: 'vendor_data'; readonly names: readonly string[] }
  | { readonly by: 'id'; readonly ids: readonly string[] };

/**
 * Deletes at most so many of the selected entities with their comments and what events told of them, and resolves to
 * their ids; sessions stay, with what events told of those.
 */
export async function deleteEntities(
  tx: Transaction,
  applicationId: string,
  kind: SessionKind,
  selection: EntitySelection,
  most: number,
): Promise<readonly string[]> {
  const { condition, values } = conditionOf(selection);
  const doomed = await tx.query<{ id: string }>(
    `select entity_id as id from entity where application_id = $1 and session_kind = $2 ${condition}
     order by session_kind, vendor_data limit $3 for update`,
    [applicationId, kind, most, ...values],
  );
  if (doomed.length === 0) return [];
  const ids = doomed.map(({ id }) => id);
  // A statement after the locks: it sees what was told by those who had them before.
  eraseEvents(tx, 'entity_deleted', {
    select: `select event_id from event where application_id = $1 and subject_id = any ($2::uuid[])
      and session_id is null and token_id is null`,
    values: [applicationId, ids],
  });
  tx.send('delete from entity where application_id = $1 and entity_id = any ($2::uuid[])', [applicationId, ids]);
  return ids;
}

function conditionOf(selection: EntitySelection): { condition: string; values: unknown[] } {
  switch (selection.by) {
    case 'all':
      return { condition: '', values: [] };
    case 'vendor_data':
      return { condition: 'and vendor_data = any ($4::text[])', values: [selection.names] };
    case 'id':
      return { condition: 'and entity_id = any ($4::uuid[])', values: [selection.ids] };
  }
}

/** What an application said of an entity, opened; nothing when it never said anything. */
export function openContent(
  sealer: PayloadSealer,
  applicationId: string,
  entityId: string,
  sealed: Buffer | null,
): EntityContent {
  if (sealed === null) return { profile: {}, metadata: {} };
  return sealer.openPayload(contentContext(applicationId, entityId), sealed) as unknown as EntityContent;
}

function sealContent(
  sealer: PayloadSealer,
  applicationId: string,
  entityId: string,
  { profile, metadata }: EntityContent,
): Buffer {
  return sealer.sealPayload(contentContext(applicationId, entityId), { profile, metadata });
}

function insertComment(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  entityId: string,
  comment: EntityComment,
): void {
  const commentId = newId();
  const payload: JsonObject = {
    previous_value: comment.previousValue,
    new_value: comment.newValue,
    changed_fields: [...comment.changedFields],
  };
  tx.send(
    `insert into entity_comment
       (comment_id, entity_id, application_id, comment_type, previous_status, new_status, payload)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      commentId,
      entityId,
      applicationId,
      comment.type,
      comment.previousStatus,
      comment.newStatus,
      sealer.sealPayload(commentContext(applicationId, commentId), payload),
    ],
  );
}

/** What an application said of an entity is bound to. */
export function contentContext(applicationId: string, entityId: string): SealContext {
  return { applicationId, sessionId: entityId, category: 'entity', position: 0 };
}

/** What a comment's payload is bound to. */
export function commentContext(applicationId: string, commentId: string): SealContext {
  return { applicationId, sessionId: commentId, category: 'entity_comment', position: 0 };
}
