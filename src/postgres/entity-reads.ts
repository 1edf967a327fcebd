import { FEATURE_TOKENS, type SessionKind } from '../domain/decision-categories.ts';
import type { EntityComment, EntityContent, EntityStatus } from '../domain/entity.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import { FINISHED_STATUSES, type SessionStatus } from '../domain/session-status.ts';
import {
  PROFILE_CATEGORIES,
  verifiedProfiles,
  type DescribingSession,
  type VerifiedProfile,
} from '../sharing/entity-profile.ts';
import type { EntityKey, PayloadSealer } from '../sharing/ports.ts';
import { BY_KEY, commentContext, keyParameters, openContent } from './entities.ts';
import { partsOfSessions } from './session-list.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** A user or business, as its application sees it. Times are ISO 8601. */
export interface EntityRow extends EntityContent {
  readonly entityId: string;
  readonly vendorData: string | null;
  readonly status: EntityStatus;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Of its sessions, as they are now. */
  readonly sessions: number;
  readonly approved: number;
  readonly declined: number;
  readonly inReview: number;
  readonly firstSessionAt: string | null;
  readonly lastSessionAt: string | null;
  /** When one of its sessions was made or changed last. */
  readonly lastActivityAt: string | null;
  /** Of the identity documents of its approved sessions (alpha-3). */
  readonly issuingStates: readonly string[];
  /** What its newest finished session says of it, an approved one first; null without any. */
  readonly verified: VerifiedProfile | null;
  /** Status of its newest session. */
  readonly latestStatus: SessionStatus | null;
  /** What each feature came to in the newest session that has it. */
  readonly features: readonly { readonly feature: string; readonly status: string }[];
}

/** What was noted of a change. */
export interface EntityCommentRow extends EntityComment {
  readonly commentId: string;
  /** ISO 8601. */
  readonly createdAt: string;
}

type StoredEntity = Omit<EntityRow, keyof EntityContent | 'features' | 'verified'> & {
  readonly sealed: Buffer | null;
  readonly described: Pick<DescribingSession, 'sessionId' | 'status' | 'country'> | null;
};

/** The entities of the relation `page`, with what their sessions say; counted when read, so that it is always right. */
const WITH_SESSIONS = `select page.entity_id as "entityId", page.vendor_data as "vendorData", page.status,
    page.profile as sealed, ${isoColumn('page.created_at')} as "createdAt", ${isoColumn('page.updated_at')} as "updatedAt",
    total.sessions, total.approved, total.declined, total.in_review as "inReview",
    ${isoColumn('total.first_at')} as "firstSessionAt", ${isoColumn('total.last_at')} as "lastSessionAt",
    ${isoColumn('total.active_at')} as "lastActivityAt", coalesce(total.countries, '{}') as "issuingStates",
    total.latest_status as "latestStatus", described.session as described
  from page cross join lateral (
    select count(*)::float8 as sessions,
      (count(*) filter (where s.status = 'Approved'))::float8 as approved,
      (count(*) filter (where s.status = 'Declined'))::float8 as declined,
      (count(*) filter (where s.status = 'In Review'))::float8 as in_review,
      min(s.created_at) as first_at, max(s.created_at) as last_at, max(s.updated_at) as active_at,
      array_agg(distinct s.country) filter (where s.status = 'Approved' and s.country is not null) as countries,
      (array_agg(s.status order by s.created_at desc, s.session_id desc))[1] as latest_status
    from session s
    where s.application_id = page.application_id and s.session_kind = page.session_kind
      and s.vendor_data = page.vendor_data
  ) total left join lateral (
    select jsonb_build_object('sessionId', s.session_id, 'status', s.status, 'country', s.country) as session
    from session s
    where s.application_id = page.application_id and s.session_kind = page.session_kind
      and s.vendor_data = page.vendor_data and s.status in (${FINISHED_STATUSES.map((status) => `'${status}'`).join(', ')})
    order by s.status = 'Approved' desc, s.created_at desc, s.session_id desc limit 1
  ) described on true`;
const ORDER = 'order by last_session_at desc nulls last, entity_id desc';

/** An application's users or businesses, whose last session is the newest first; with their exact number. */
export async function listEntities(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  kind: SessionKind,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: EntityRow[] }> {
  const [[total], stored] = await Promise.all([
    tx.query<{ count: number }>(
      'select count(*)::float8 as count from entity where application_id = $1 and session_kind = $2',
      [applicationId, kind],
    ),
    tx.query<StoredEntity>(
      `with page as (select * from entity where application_id = $1 and session_kind = $2 ${ORDER} limit $3 offset $4)
       ${WITH_SESSIONS} ${ORDER}`,
      [applicationId, kind, page.limit, page.offset],
    ),
  ]);
  return { count: total?.count ?? 0, rows: await withSessions(tx, sealer, applicationId, kind, stored) };
}

/** One entity of the application's own. */
export async function readEntity(tx: Transaction, sealer: PayloadSealer, key: EntityKey): Promise<EntityRow | null> {
  const stored = await tx.query<StoredEntity>(
    `with page as (select * from entity where ${BY_KEY}) ${WITH_SESSIONS}`,
    keyParameters(key),
  );
  const [row] = await withSessions(tx, sealer, key.applicationId, key.kind, stored);
  return row ?? null;
}

/** One entity by its own id. */
export async function readEntityById(
  tx: Transaction,
  sealer: PayloadSealer,
  { applicationId, kind }: Omit<EntityKey, 'name'>,
  entityId: string,
): Promise<EntityRow | null> {
  const stored = await tx.query<StoredEntity>(
    `with page as (select * from entity where application_id = $1 and session_kind = $2 and entity_id = $3)
     ${WITH_SESSIONS}`,
    [applicationId, kind, entityId],
  );
  const [row] = await withSessions(tx, sealer, applicationId, kind, stored);
  return row ?? null;
}

const MAX_COMMENTS = 100;

/** The newest 100 comments of an entity, the newest first. */
export async function readComments(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  entityId: string,
): Promise<EntityCommentRow[]> {
  const rows = await tx.query<
    Omit<EntityCommentRow, 'previousValue' | 'newValue' | 'changedFields'> & { payload: Buffer }
  >(
    `select comment_id as "commentId", comment_type as type, previous_status as "previousStatus",
       new_status as "newStatus", payload, ${isoColumn('created_at')} as "createdAt"
     from entity_comment where entity_id = $2 and application_id = $1 order by created_at desc, comment_id desc limit ${MAX_COMMENTS}`,
    [applicationId, entityId],
  );
  return rows.map(({ payload, ...row }) => {
    const opened = sealer.openPayload(commentContext(applicationId, row.commentId), payload) as {
      previous_value: JsonValue;
      new_value: JsonValue;
      changed_fields: string[];
    };
    return {
      ...row,
      previousValue: opened.previous_value,
      newValue: opened.new_value,
      changedFields: opened.changed_fields,
    };
  });
}

interface FeatureRow {
  readonly vendorData: string;
  readonly feature: string;
  readonly sessionId: string;
  readonly sessionStatus: SessionStatus;
  readonly category: string | null;
  readonly position: number | null;
  readonly payload: Buffer | null;
}

const CATEGORIES = Object.entries(FEATURE_TOKENS).flatMap(([category, feature]) =>
  feature === null ? [] : [{ category, feature }],
);

/** Opens what was said of the entities, and adds what is read from their sessions. */
async function withSessions(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  kind: SessionKind,
  stored: readonly StoredEntity[],
): Promise<EntityRow[]> {
  const [features, profiles] = await Promise.all([
    featuresOf(tx, applicationId, kind, stored),
    profilesOf(tx, sealer, applicationId, kind, stored),
  ]);
  return stored.map(({ sealed, described, ...row }) => ({
    ...row,
    ...openContent(sealer, applicationId, row.entityId, sealed),
    verified: profiles.get(described?.sessionId ?? '') ?? null,
    features: (features.get(row.vendorData ?? '') ?? []).map((feature) => ({
      feature: feature.feature,
      status: checkStatus(sealer, applicationId, feature) ?? feature.sessionStatus,
    })),
  }));
}

/** What each feature of users came to: in its check, else its session. By `vendor_data`. */
async function featuresOf(
  tx: Transaction,
  applicationId: string,
  kind: SessionKind,
  stored: readonly StoredEntity[],
): Promise<ReadonlyMap<string, readonly FeatureRow[]>> {
  const names = stored.flatMap(({ vendorData, sessions }) =>
    vendorData === null || sessions === 0 ? [] : [vendorData],
  );
  // A business has the one feature "KYB", which is its newest session.
  if (kind === 'business' || names.length === 0) return new Map();
  const found = await tx.query<FeatureRow>(
    `with known as (select * from unnest($4::text[], $5::text[]) as known(category, feature))
     select latest.vendor_data as "vendorData", latest.feature, latest.session_id as "sessionId",
       latest.status as "sessionStatus", item.category, item.position, with_key(latest.session_id, item.payload) as payload
     from (
       select distinct on (s.vendor_data, f.feature) s.vendor_data, f.feature, s.session_id, s.status
       from session s cross join lateral (
         select unnest(s.features) as feature
         union
         select known.feature from session_check c join known using (category)
         where c.session_id = s.session_id and c.application_id = $1
       ) f
       where s.application_id = $1 and s.session_kind = $2 and s.vendor_data = any ($3::text[])
       order by s.vendor_data, f.feature, s.created_at desc, s.session_id desc
     ) latest
     left join known on known.feature = latest.feature
     left join lateral (
       select c.category, c.position, c.payload from session_check c
       where c.session_id = latest.session_id and c.application_id = $1 and c.category = known.category
       order by c.position limit 1
     ) item on true
     order by latest.vendor_data, latest.feature`,
    [applicationId, kind, names, CATEGORIES.map(({ category }) => category), CATEGORIES.map(({ feature }) => feature)],
  );
  return Map.groupBy(found, ({ vendorData }) => vendorData);
}

/** What the entities' describing sessions say of them, by session id. */
async function profilesOf(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  kind: SessionKind,
  stored: readonly StoredEntity[],
): Promise<ReadonlyMap<string, VerifiedProfile>> {
  const sessions = stored.flatMap(({ described }) =>
    described === null ? [] : [{ applicationId, kind, ...described }],
  );
  if (sessions.length === 0) return new Map();
  const sessionIds = sessions.map(({ sessionId }) => sessionId);
  const ofKind = (wanted: SessionKind) => ({
    sessionIds: wanted === kind ? sessionIds : [],
    categories: PROFILE_CATEGORIES[wanted],
  });
  const parts = await partsOfSessions(tx, applicationId, { user: ofKind('user'), business: ofKind('business') });
  return verifiedProfiles(sessions, parts, sealer);
}

function checkStatus(sealer: PayloadSealer, applicationId: string, row: FeatureRow): string | null {
  const { sessionId, category, position, payload } = row;
  if (payload === null || category === null || position === null) return null;
  const check = sealer.openPayload({ applicationId, sessionId, category, position }, payload) as JsonObject;
  const status = check['status'];
  return typeof status === 'string' ? status : null;
}
