import type { Invariant } from '../invariant.ts';
import { finding, readRows } from '../oracle-reading.ts';
import { LEFT_TO_HOUSEKEEPING } from '../quiet.ts';
import { eventIdOf } from '../webhook-text.ts';

interface EventRow {
  readonly eventId: string;
  readonly type: string;
  readonly applicationId: string;
  /** Whether its destination is switched on now. */
  readonly enabled: boolean;
  readonly state: string | null;
  readonly lastReason: string | null;
  /** Who sends it: an onboarding what carries its token. */
  readonly owner: string | null;
  readonly ended: boolean;
  readonly hasPayload: boolean;
  readonly sessionGone: boolean;
  /** Its share waits for the partner, and its delivery with it. */
  readonly tokenOpen: boolean;
  /** Its share ended before anybody had to send it: taken back, its source gone, or its short time over. */
  readonly overEarly: boolean;
  /** Whether anything was sent, as far as the log knows. */
  readonly tried: boolean;
  readonly leftToHousekeeping: boolean;
}

/** Token `t` outlasted every outage that a run brings about, and every rest of a receiver. */
const LIVED_LONG = `t.expires_at - t.issued_at >= interval '5 minutes'`;

/** Every event that a living destination had subscribed to when it came, with its delivery, if there is one. */
const EVENTS = `
  select e.event_id as "eventId", e.type, e.application_id as "applicationId", d.enabled, v.state,
    v.last_reason as "lastReason", v.owner, v.ended_at is not null as ended, p.event_id is not null as "hasPayload",
    e.session_id is not null and s.session_id is null as "sessionGone",
    coalesce(o.ended_at is null and t.expires_at > handoff_now(), false) as "tokenOpen",
    coalesce(o.status in ('revoked', 'rejected') or (o.ended_at >= t.expires_at and not ${LIVED_LONG}), false) as "overEarly",
    exists (select 1 from delivery_attempt a where a.delivery_id = v.delivery_id) as tried,
    coalesce(${LEFT_TO_HOUSEKEEPING}, false) as "leftToHousekeeping"
  from event e
  join webhook_destination d on d.application_id = e.application_id and d.deleted_at is null
    and e.type = any (d.subscribed_events) and e.created_at > d.created_at
    and (e.type not like 'webhook.%' or (e.subject_id <> d.destination_id and e.type <> 'webhook.ping'))
  left join delivery v on v.event_id = e.event_id and v.destination_id = d.destination_id
  left join event_payload p on p.event_id = e.event_id
  left join session s on s.session_id = e.session_id
  left join share_token t on t.token_id = e.token_id
  left join onboarding o on o.token_id = e.token_id
  where e.sequence is not null`;

/**
 * Shares whose partner was to be sent a token, and never was: open ones, and those that say that it answered. One that
 * ran out on its way is `undeliverable`.
 */
const NEVER_OFFERED = `
  select o.token_id as about, o.status from onboarding o
  where o.acceptance <> 'automatic' and (o.ended_at is null or o.status in ('imported', 'refused', 'expired'))
    and not exists (select 1 from event e where e.token_id = o.token_id and e.type = 'share.received')`;

/** Shares that nobody took in time: how many, how many of them without one attempt, and those that say another reason. */
const UNDELIVERABLE = `
  select o.token_id as about, o.reason,
    exists (select 1 from event e join delivery v on v.event_id = e.event_id
            join delivery_attempt a on a.delivery_id = v.delivery_id
            where e.token_id = o.token_id and e.type = 'share.received') as tried,
    exists (select 1 from webhook_destination d
            where d.application_id = o.partner_id and d.enabled and d.deleted_at is null) as "hasDestination",
    coalesce(${LIVED_LONG}, false) as "livedLong"
  from onboarding o left join share_token t on t.token_id = o.token_id where o.status = 'undeliverable'`;

/** Destinations of the brands that are off or gone: no client switches one off, and no receiver asks for it. */
const SWITCHED_OFF = `
  select destination_id as about,
    concat_ws(', ', case when not enabled then 'switched off' end, disabled_reason,
      case when deleted_at is not null then 'deleted' end) as how
  from webhook_destination
  where destination_id = any ($1::uuid[]) and (not enabled or disabled_reason is not null or deleted_at is not null)`;

/** I3. */
export const everyEventArrives: Invariant = {
  id: 'I3',
  says: 'every committed event reached each destination that subscribed to it, unless what it told of ended before',
  check: async (rig) => {
    const rows = await readRows<EventRow & Record<string, unknown>>(rig, EVENTS);
    const reached = new Set(
      rig.ledger.heard.flatMap(({ as, rawBody, status }) => (status < 300 ? [`${as} ${eventIdOf(rawBody)}`] : [])),
    );
    const breaks = rows.flatMap((row) => {
      const problem = problemOf(row, reached);
      return problem === null ? [] : [`${row.type} ${row.eventId} for ${row.applicationId} ${problem}`];
    });
    for (const { about, status } of await readRows<{ about: string; status: string }>(rig, NEVER_OFFERED)) {
      breaks.push(`onboarding ${about} is ${status}, and its partner was never sent a token`);
    }
    const undeliverable = await readRows<UndeliverableRow & Record<string, unknown>>(rig, UNDELIVERABLE);
    // No receiver here is gone, blocked or without a destination.
    for (const { about, reason } of undeliverable.filter(isOddly)) {
      breaks.push(`onboarding ${about} is undeliverable (${String(reason)}), and its partner has a destination`);
    }
    for (const { about } of undeliverable.filter(({ tried, livedLong }) => livedLong && !tried)) {
      breaks.push(`onboarding ${about} is undeliverable, and its token lived for minutes without one attempt`);
    }
    const destinations = [rig.brands.map(({ destinationId }) => destinationId)];
    for (const { about, how } of await readRows<{ about: string; how: string }>(rig, SWITCHED_OFF, destinations)) {
      breaks.push(`destination ${about} is ${how}, and nobody asked for it`);
    }
    const states = Map.groupBy(rows, ({ state }) => state ?? 'none');
    const counted = [...states].map(([state, all]) => `${all.length} ${state}`).join(', ');
    const untried = undeliverable.filter(({ tried }) => !tried).length;
    const shares = `${undeliverable.length} shares undeliverable in time, ${untried} of them untried`;
    return finding(`${rows.length} events: ${counted}; ${shares}`, breaks);
  },
};

interface UndeliverableRow {
  readonly about: string;
  readonly reason: string | null;
  readonly tried: boolean;
  readonly hasDestination: boolean;
  /** Its token lived for five minutes or longer. */
  readonly livedLong: boolean;
}

const isOddly = ({ reason, hasDestination }: UndeliverableRow) => reason !== 'token_expired' && hasDestination;

function problemOf(row: EventRow, reached: ReadonlySet<string>): string | null {
  switch (row.state) {
    case 'delivered':
      return reached.has(`${row.applicationId} ${row.eventId}`) ? null : 'is delivered by the log, and never arrived';
    case null:
      return isMissingRightly(row) ? null : 'has no delivery';
    case 'held':
      return row.enabled ? 'is held, and its destination is switched on' : null;
    case 'stopped':
      return stoppedProblem(row);
    default:
      // Each receiver takes an event at the third try at the latest, and twelve tries take three days.
      return row.ended ? `ended as ${row.state} (${String(row.lastReason)})` : waitingProblem(row);
  }
}

function isMissingRightly({ type, enabled, hasPayload, sessionGone }: EventRow): boolean {
  // Erased with its session, before anything was made of it.
  if (!hasPayload && sessionGone) return true;
  // A share is for destinations that are switched on when it comes.
  return type === 'share.received' && !enabled;
}

/** What was erased with its session is not sent, nor a token that has ended; and an ended one says of its last attempt. */
function stoppedProblem(row: EventRow): string | null {
  const { lastReason, hasPayload, sessionGone } = row;
  if (lastReason === null) return 'was stopped, and the log does not say why';
  if (lastReason === 'session_deleted' || lastReason === 'payload_deleted') {
    return !hasPayload && sessionGone ? null : `was stopped as ${lastReason}, and its session is there`;
  }
  if (row.owner !== 'onboarding') return `was stopped as ${lastReason}`;
  return row.tokenOpen ? 'was stopped while its token lives' : untriedProblem(row);
}

function waitingProblem(row: EventRow): string | null {
  const waits = (row.owner === 'onboarding' && row.tokenOpen) || row.leftToHousekeeping;
  return waits ? untriedProblem(row) : `is still ${String(row.state)}`;
}

/** A receiver that rests is tried within a minute, so that whoever took a share had been sent it. */
function untriedProblem({ tried, overEarly }: EventRow): string | null {
  return tried || overEarly ? null : 'was never tried';
}
