import { setTimeout as pause } from 'node:timers/promises';
import { shiftClock } from '../../test/support/test-clock.ts';
import { openCorrespondence } from '../correspondence.ts';
import { openField, type Field } from '../field.ts';
import { same, within, type Part } from '../part.ts';
import { startWebhooksProcess } from '../senders.ts';

/** Between a request and its answer, so that a kill finds some under way. */
const ANSWER_MS = 50;

/** An attempt whose row says that it is under way. */
interface UnderWay {
  readonly attemptId: string;
  /** Its event and its number. */
  readonly name: string;
}

/** SIGKILL of the webhooks worker in the middle of its deliveries, and another that goes on. */
export const crashes: Part = {
  name: 'crashes',
  shows: 'a worker that is killed amid its deliveries: every event arrives, every request has its row',
  run: async (lab) => {
    const [applications, events, kills] = lab.quick ? [5, 60, 1] : [20, 500, 3];
    const field = await openField(lab);
    // The event and the attempt of every request.
    const sent: string[] = [];
    const receiver = await openCorrespondence(lab, field, ({ eventId, headers }, response) => {
      sent.push(`${eventId}:${String(headers['webhook-attempt'])}`);
      setTimeout(() => response.end(), ANSWER_MS);
    });
    const targets = await Promise.all(Array.from({ length: applications }, () => field.target(receiver.url)));
    const arrived = () => events - receiver.missing();
    await Promise.all(
      Array.from({ length: events }, (_, index) => receiver.tell(targets[index % applications]?.applicationId ?? '')),
    );
    const underWay: UnderWay[] = [];
    for (let kill = 1; kill <= kills; kill += 1) {
      const { process } = await startWebhooksProcess(lab, field.env);
      const enough = (events * kill) / (kills + 1);
      for (const until = Date.now() + 60_000; arrived() < enough && Date.now() < until;) await pause(5);
      await process.kill();
      lab.say(`Killed after ${arrived()} of ${events}`);
      // Postgres may still be at what the process had asked of it.
      await pause(500);
      underWay.push(...(await attemptsUnderWay(field)));
      // Longer than any lease.
      await shiftClock(field.pool, '2 minutes');
    }
    await startWebhooksProcess(lab, field.env);
    for (const until = Date.now() + 120_000; (await openDeliveries(field)) > 0 && Date.now() < until;) await pause(100);

    const states = await attemptStates(field);
    const rowless = sent.filter((name) => !states.byName.has(name)).length;
    const reached = new Set(sent);
    const shown = underWay.filter(({ attemptId }) => states.byId.get(attemptId) === 'unknown').length;
    return [
      same(`events that never arrived, of ${events}`, receiver.missing(), 0),
      same('deliveries that have not ended as delivered', await openDeliveries(field), 0),
      same(`requests that the log has no row of, of ${sent.length}`, rowless, 0),
      within(`attempts under way at ${kills} kills`, underWay.length, [1, events]),
      within('… of which had reached the receiver', underWay.filter(({ name }) => reached.has(name)).length, [
        1,
        events,
      ]),
      same('… that show as unknown', shown, underWay.length),
      within('requests for an event that had come before', sent.length - arrived(), [0, underWay.length]),
    ];
  },
};

async function attemptsUnderWay({ pool }: Field): Promise<UnderWay[]> {
  const { rows } = await pool.query<UnderWay>(
    `select attempt_id as "attemptId", event_id || ':' || attempt as name
     from delivery_attempt join delivery using (delivery_id) where delivery_attempt.state = 'started'`,
  );
  return rows;
}

async function openDeliveries({ pool }: Field): Promise<number> {
  const { rows } = await pool.query<{ open: number }>(
    `select count(*)::int as open from delivery where state <> 'delivered'`,
  );
  return rows[0]?.open ?? Number.NaN;
}

async function attemptStates({ pool }: Field) {
  const { rows } = await pool.query<UnderWay & { state: string }>(
    `select attempt_id as "attemptId", event_id || ':' || attempt as name, delivery_attempt.state
     from delivery_attempt join delivery using (delivery_id)`,
  );
  return {
    byId: new Map(rows.map(({ attemptId, state }) => [attemptId, state])),
    byName: new Set(rows.map(({ name }) => name)),
  };
}
