import { setTimeout as pause } from 'node:timers/promises';
import { openCorrespondence, type Correspondence } from '../../torture/correspondence.ts';
import { openField } from '../../torture/field.ts';
import { quantile } from '../../torture/api-server.ts';
import { same, within, type Part } from '../../torture/part.ts';
import { delays } from '../../torture/parts/delays.ts';
import { startWebhooksProcess } from '../../torture/senders.ts';
import { inFlight } from './in-flight.ts';
import { inLab } from './in-lab.ts';

/** Events that are committed at once, while the backlog piles up. */
const AT_ONCE = 8;
const BESIDE_PER_SECOND = 20;

const drain: Part = {
  name: 'drain',
  shows: 'a backlog of one destination that is sent when senders are back, and what others wait meanwhile',
  run: async (lab) => {
    const count = lab.quick ? 1_000 : 50_000;
    const field = await openField(lab, { LOG_LEVEL: 'error' });
    const [behind, beside] = [await openCorrespondence(lab, field), await openCorrespondence(lab, field)];
    const [late, prompt] = [await field.target(behind.url), await field.target(beside.url)];
    lab.say(`F18: ${count} events that nobody sends`);
    await inFlight(AT_ONCE, count, () => behind.tell(late.applicationId));

    await startWebhooksProcess(lab, field.env);
    // Ten a second would be far too slow.
    const patienceMs = 30_000 + count * 100;
    const begun = performance.now();
    // From its first delivery on: before it there is no sender to wait for.
    while (behind.missing() === count && performance.now() - begun < patienceMs) await pause(20);
    const others = tellBeside(beside, prompt.applicationId);
    while (behind.missing() > 0 && performance.now() - begun < patienceMs) await pause(100);
    const seconds = (performance.now() - begun) / 1_000;
    await others.stop();
    const during = quantile(beside.delays(), 0.99);
    const missed = beside.missing();

    beside.forget();
    const calm = tellBeside(beside, prompt.applicationId);
    await pause(lab.quick ? 3_000 : 20_000);
    await calm.stop();
    const measured = (what: string, seen: string) => ({ what, expected: 'measured', seen, ok: true });
    return [
      same(`of ${count} events, never sent`, behind.missing(), 0),
      measured(
        'drained',
        `${((count - behind.missing()) / seconds).toFixed(0)} a second, start of the sender included`,
      ),
      same('events of another tenant that were never sent', missed + beside.missing(), 0),
      within('events of another tenant meanwhile', others.told(), [1, Infinity]),
      measured(
        'p99 to another tenant, during the drain and after it',
        `${during.toFixed(0)} ms, ${quantile(beside.delays(), 0.99).toFixed(0)} ms`,
      ),
    ];
  },
};

/** What piled up while a receiver, or every sender, was away. */
export const backlog = inLab(
  { id: 'F18', what: 'a backlog: the schedule over three days of skipped time, and 50,000 deliveries that drain' },
  delays,
  drain,
);

function tellBeside(beside: Correspondence, applicationId: string) {
  const telling: Promise<void>[] = [];
  const timer = setInterval(() => telling.push(beside.tell(applicationId)), 1_000 / BESIDE_PER_SECOND);
  return {
    told: () => telling.length,
    stop: async () => {
      clearInterval(timer);
      await Promise.all(telling);
      await beside.settle(30_000);
    },
  };
}
