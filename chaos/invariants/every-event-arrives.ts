import type { Invariant } from '../invariant.ts';
import { finding, readRows } from '../oracle-reading.ts';
import { LEFT_TO_HOUSEKEEPING } from '../quiet.ts';
import { eventIdOf } from '../webhook-text.ts';

interface EventRow {
  readonly eventId: string;
  readonly type: string;
  readonly applicationId: string;
  readonly state: string | null;
  readonly lastReason: string | null;
  readonly ended: boolean;
  readonly hasPayload: boolean;
  readonly sessionGone: boolean;
  /** Its share waits for the partner, and its delivery with it. */
  readonly tokenOpen: boolean;
  readonly ending: string | null;
  readonly leftToHousekeeping: boolean;
}

/** Every event that a living destination had subscribed to when it came, with its delivery, if there is one. */
const EVENTS = `
  select e.event_id as "eventId", e.type, e.application_id as "applicationId", v.state, v.last_reason as "lastReason",
    v.ended_at is not null as ended, p.event_id is not null as "hasPayload",
    e.session_id is not null and s.session_id is null as "sessionGone",
    coalesce(o.ended_at is null and t.expires_at > handoff_now(), false) as "tokenOpen", o.status as ending,
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

/** I3. */
export const everyEventArrives: Invariant = {
  id: 'I3',
  says: 'every committed event that a destination subscribed to reached it, or its log shows in what state it ended',
  check: async (rig) => {
    const rows = await readRows<EventRow & Record<string, unknown>>(rig, EVENTS);
    const reached = new Set(
      rig.ledger.heard.flatMap(({ as, rawBody, status }) => (status < 300 ? [`${as} ${eventIdOf(rawBody)}`] : [])),
    );
    const breaks = rows.flatMap((row) => {
      const problem = problemOf(row, reached);
      return problem === null ? [] : [`${row.type} ${row.eventId} for ${row.applicationId} ${problem}`];
    });
    const states = new Map<string, number>();
    for (const { state } of rows) states.set(state ?? 'none', (states.get(state ?? 'none') ?? 0) + 1);
    return finding(`${rows.length} events: ${[...states].map(([state, n]) => `${n} ${state}`).join(', ')}`, breaks);
  },
};

function problemOf(row: EventRow, reached: ReadonlySet<string>): string | null {
  const { state, ended, lastReason, tokenOpen } = row;
  if (state === 'delivered') {
    return reached.has(`${row.applicationId} ${row.eventId}`) ? null : 'is delivered by the log, and never arrived';
  }
  if (state === null) {
    // Erased with its session, before anything was made of it.
    if (!row.hasPayload && row.sessionGone) return null;
    // A token is for destinations that are switched on when it is delivered.
    return row.type === 'share.received' && row.ending === 'undeliverable' ? null : 'has no delivery';
  }
  if (state === 'held') return null;
  if (!ended) {
    const waits = row.type === 'share.received' && tokenOpen;
    return waits || row.leftToHousekeeping ? null : `is still ${state}`;
  }
  return lastReason === null ? `ended as ${state}, and the log does not say why` : null;
}
