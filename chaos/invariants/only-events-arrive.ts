import type { Invariant } from '../invariant.ts';
import { finding, readRows } from '../oracle-reading.ts';
import { bodyOf } from '../webhook-text.ts';

/** Every attempt that was committed before it was sent, as `event application destination number type`. */
const ATTEMPTS = `
  select concat_ws(' ', v.event_id, e.application_id, v.destination_id, a.attempt, e.type) as attempt
  from delivery_attempt a join delivery v on v.delivery_id = a.delivery_id join event e on e.event_id = v.event_id`;

/** I4. */
export const onlyEventsArrive: Invariant = {
  id: 'I4',
  says: 'nothing was delivered but committed events, each by an attempt that was committed before it',
  check: async (rig) => {
    const attempts = new Set((await readRows<{ attempt: string }>(rig, ATTEMPTS)).map(({ attempt }) => attempt));
    const destinations = new Map(rig.brands.map(({ id, destinationId }) => [id, destinationId]));
    const breaks = rig.ledger.heard.flatMap(({ as, rawBody, headers }) => {
      const body = bodyOf(rawBody);
      const { event_id: event, application_id: application, webhook_type: type } = body;
      const number = String(headers['webhook-attempt']);
      const what = `${String(type)} ${String(event)}, attempt ${number}, at ${as}`;
      if (application !== as) return [`${what} is addressed to ${String(application)}`];
      const known = attempts.has([event, as, destinations.get(as), number, type].map(String).join(' '));
      return known ? [] : [`${what} has no committed event and attempt`];
    });
    return finding(`${rig.ledger.heard.length} deliveries, ${attempts.size} attempts`, breaks);
  },
};
