import type { Invariant } from '../invariant.ts';
import { finding, grouped, readRows } from '../oracle-reading.ts';
import { bodyOf } from '../webhook-text.ts';

/** Subjects whose numbers are not 1, 2, 3 … in the order of their events. */
const BAD_SUBJECTS = `
  select application_id || ' ' || subject_id as about, string_agg(sequence::text, ', ' order by created_at, sequence) as numbers
  from (
    select e.*, row_number() over (partition by application_id, subject_id order by created_at, sequence) as place
    from event e where sequence is not null
  ) numbered
  group by application_id, subject_id having bool_or(sequence <> place)`;

interface SessionRow {
  readonly id: string;
  readonly status: string;
  /** Number of the last event that tells its state. */
  readonly newest: string;
}

const SESSIONS = `
  select s.session_id as id, s.status, max(e.sequence)::text as newest
  from session s join event e on e.session_id = s.session_id and e.application_id = s.application_id
  where e.type in ('status.updated', 'data.updated') and e.sequence is not null group by 1, 2`;

/** I7, as docs/webhooks.md promises it: arrivals may come in any order, numbers may not. */
export const sequence: Invariant = {
  id: 'I7',
  says: 'sequence counts the events of each subject from 1, is the same in every delivery, and its highest tells the state',
  check: async (rig) => {
    const bad = await readRows<{ about: string; numbers: string }>(rig, BAD_SUBJECTS);
    const breaks = bad.map(({ about, numbers }) => `${about} is numbered ${numbers}`);
    const rows = await readRows<{ id: string; sequence: string }>(
      rig,
      'select event_id as id, sequence::text as sequence from event where sequence is not null',
    );
    const stored = new Map(rows.map(({ id, sequence: number }) => [id, number]));
    // Without the rest of them, which is much.
    const said = rig.ledger.heard.map(({ rawBody }) => {
      const { event_id: id, sequence: number, webhook_type: type, session_id: session, status } = bodyOf(rawBody);
      return { id: String(id), number: String(number), type, session: String(session), status: String(status) };
    });
    for (const { id, number } of said) {
      if (stored.get(id) !== number) breaks.push(`event ${id} said ${number}; stored is ${String(stored.get(id))}`);
    }
    const states = grouped(said, ({ type, session }) =>
      type === 'status.updated' || type === 'data.updated' ? session : null,
    );
    for (const { id, status, newest } of await readRows<SessionRow & Record<string, unknown>>(rig, SESSIONS)) {
      // One whose newest word was never sent is told by I3.
      const last = states.get(id)?.find(({ number }) => number === newest);
      if (last !== undefined && spelt(last.status) !== spelt(status)) {
        breaks.push(`session ${id}: the newest word is ${last.status}; it is ${status}`);
      }
    }
    return finding(`${stored.size} events, ${states.size} sessions that were told of`, breaks);
  },
};

/** A business's status is written in upper case with underscores. */
function spelt(status: string): string {
  return status.toLowerCase().replaceAll('_', ' ');
}
