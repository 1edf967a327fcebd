import type { Acknowledgement, ImportChoice, ShareFacts, ShareStore } from '../sharing/ports.ts';
import { forgetTokenKeys, insertTokenKeys } from './data-keys.ts';
import { isoColumn, uuidOrNull } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** Seed of the advisory locks of applications: held by mints, taken alone by a deletion. */
export const APPLICATION_LOCK = 3;

/** SQL of tokens and redemptions. */
export function shareStore(tx: Transaction): ShareStore {
  return {
    holdApplications: (applicationIds) =>
      tx.send(
        `select pg_advisory_xact_lock_shared(hashtextextended(id, ${APPLICATION_LOCK})) from unnest($1::text[]) id`,
        [applicationIds],
      ),
    holdSidesOf: (tokenId) => {
      if (uuidOrNull(tokenId) === null) return;
      actOn(tx, tokenId);
      tx.send(
        `select pg_advisory_xact_lock_shared(hashtextextended(side::text, ${APPLICATION_LOCK}))
         from onboarding o cross join unnest(array[o.issuer_id, o.partner_id]) side where o.token_id = $1`,
        [tokenId],
      );
    },
    actForPartnerOf: (tokenId) => {
      if (uuidOrNull(tokenId) === null) return;
      actOn(tx, tokenId);
      tx.send(`select set_config('handoff.tenant', partner_id::text, true) from onboarding where token_id = $1`, [
        tokenId,
      ]);
    },
    lock: async (tokenId) => {
      if (uuidOrNull(tokenId) === null) return null;
      actOn(tx, tokenId);
      // One order everywhere. Locks go first, in statements of their own: the read after them sees all that they waited for.
      tx.send('select 1 from onboarding where token_id = $1 for update', [tokenId]);
      tx.send('select 1 from share_token where token_id = $1 for update', [tokenId]);
      return look(tx, tokenId);
    },
    look: async (tokenId) => {
      if (uuidOrNull(tokenId) === null) return null;
      actOn(tx, tokenId);
      return look(tx, tokenId);
    },
    insertToken: (token) =>
      tx.send(
        `insert into share_token
           (token_id, session_id, session_kind, issuer_id, partner_id, environment, kid, issued_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8), to_timestamp($9))`,
        [
          token.tokenId,
          token.sessionId,
          token.sessionKind,
          token.issuerId,
          token.partnerId,
          token.environment,
          token.kid,
          token.issuedAt,
          token.expiresAt,
        ],
      ),
    insertKeys: (tokenId, expiresAt, keys) => insertTokenKeys(tx, tokenId, expiresAt, keys),
    closeToken: (tokenId, as, reason) => {
      tx.send(
        `update share_token set closed_at = handoff_now(), closed_as = $2, closed_reason = $3
         where token_id = $1 and closed_at is null`,
        [tokenId, as, reason],
      );
      forgetTokenKeys(tx, tokenId);
    },
    insertRedemption: async (row) => {
      const inserted = await tx.query(
        `insert into redemption (token_id, source_session_id, issuer_id, partner_id, session_id, acknowledgement_id,
           trust_review, redeemed_at)
         values ($1, $2, $3, $4, $5, $6, $7, handoff_now())
         on conflict do nothing returning token_id`,
        [
          row.tokenId,
          row.sourceSessionId,
          row.issuerId,
          row.partnerId,
          row.sessionId,
          row.acknowledgementId,
          row.trustReview,
        ],
      );
      return inserted.length === 1;
    },
  };
}

/** Names the share for the policies of operations that cross tenants: these show no other. */
function actOn(tx: Transaction, tokenId: string): void {
  tx.send(`select set_config('handoff.token', $1, true)`, [tokenId]);
}

interface ShareRow {
  now: string;
  token: NonNullable<ShareFacts['token']> | null;
  onboarding: NonNullable<ShareFacts['onboarding']> | null;
  redeemed: string | null;
  acknowledgement: AcknowledgementRow | null;
  sent: boolean;
  answered: boolean;
}

interface AcknowledgementRow {
  acknowledgementId: string;
  workflowId: string | null;
  vendorData: string | null;
  vendorDataGiven: boolean;
  trustReview: boolean | null;
  bodySha256: string;
}

/** Expiry is decided here alone, by the database's clock. */
const LOOK = `
  select ${isoColumn('clock.now')} as now,
    case when t.token_id is not null then json_build_object(
      'sessionId', t.session_id, 'sessionKind', t.session_kind, 'issuerId', t.issuer_id, 'partnerId', t.partner_id,
      'environment', t.environment, 'kid', t.kid,
      'keyRemoved', exists (select 1 from signing_key g where g.kid = t.kid and g.state = 'removed'),
      'issuedAt', extract(epoch from t.issued_at)::bigint, 'expiresAt', extract(epoch from t.expires_at)::bigint,
      'expired', clock.now >= t.expires_at,
      'remainingMs', greatest(1, ceil(extract(epoch from t.expires_at - clock.now) * 1000))::bigint,
      'closedAs', t.closed_as, 'closedReason', t.closed_reason) end as token,
    case when o.token_id is not null then json_build_object(
      'sessionId', o.session_id, 'sessionKind', o.session_kind, 'issuerId', o.issuer_id, 'partnerId', o.partner_id,
      'environment', coalesce(t.environment, p.environment), 'ttlSeconds', o.ttl_seconds, 'status', o.status,
      'reason', o.reason, 'acceptance', o.acceptance, 'ended', o.ended_at is not null) end as onboarding,
    r.session_id as redeemed,
    case when a.acknowledgement_id is not null then json_build_object(
      'acknowledgementId', a.acknowledgement_id, 'workflowId', a.workflow_id, 'vendorData', a.vendor_data,
      'vendorDataGiven', a.vendor_data_given, 'trustReview', a.trust_review,
      'bodySha256', encode(a.body_sha256, 'hex')) end as acknowledgement,
    exists (select 1 from event e where e.token_id = k.token_id and e.type = 'share.received') as sent,
    exists (select 1 from event e join delivery d on d.event_id = e.event_id
            where e.token_id = k.token_id and e.type = 'share.received' and e.dedupe_key like '%:token'
              and d.state = 'delivered') as answered
  from (select $1::uuid as token_id) k
  cross join lateral (select handoff_now() as now) clock
  left join share_token t on t.token_id = k.token_id
  left join onboarding o on o.token_id = k.token_id
  left join application p on p.application_id = o.partner_id
  left join redemption r on r.token_id = k.token_id
  left join acknowledgement a on a.token_id = k.token_id and a.state = 'unspent'`;

async function look(tx: Transaction, tokenId: string): Promise<ShareFacts | null> {
  const [row] = await tx.query<ShareRow>(LOOK, [tokenId]);
  if (row === undefined || (row.token === null && row.onboarding === null)) return null;
  return {
    tokenId,
    now: row.now,
    token: row.token,
    onboarding: row.onboarding,
    redeemedSessionId: row.redeemed,
    acknowledgement: row.acknowledgement === null ? null : acknowledgementOf(row.acknowledgement),
    sent: row.sent,
    answered: row.answered,
  };
}

function acknowledgementOf(row: AcknowledgementRow): Acknowledgement {
  const choice: ImportChoice = {
    ...(row.workflowId === null ? {} : { workflowId: row.workflowId }),
    ...(row.vendorDataGiven ? { vendorData: row.vendorData } : {}),
    ...(row.trustReview === null ? {} : { trustReview: row.trustReview }),
  };
  return { acknowledgementId: row.acknowledgementId, choice, bodySha256: Buffer.from(row.bodySha256, 'hex') };
}
