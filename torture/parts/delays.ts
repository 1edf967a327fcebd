import { setTimeout as pause } from 'node:timers/promises';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { attemptActivity } from '../../src/activities/attempt-delivery.ts';
import { connectHandoffClient } from '../../src/client.ts';
import { DELIVERY_DELAYS_MS, MAX_ATTEMPTS } from '../../src/domain/delivery-schedule.ts';
import { TASK_QUEUES } from '../../src/domain/temporal-names.ts';
import { deliveryLedger } from '../../src/postgres/deliveries.ts';
import type { Wish } from '../../src/postgres/tenants.ts';
import { carryOut } from '../../src/relay/carry-out.ts';
import { createWebhookPoster } from '../../src/webhooks/http-post.ts';
import { connectTimeSkipping, startTestServer } from '../../test/support/test-server.ts';
import { logUnexpectedWarnings } from '../../test/support/workflow-logs.ts';
import { openField, type Field } from '../field.ts';
import { startHostileReceiver } from '../hostile-receiver.ts';
import type { Lab } from '../lab.ts';
import { firstAttempts } from '../outcomes.ts';
import { same, type Part, type Row } from '../part.ts';
import { attemptTools, startSenderHere } from '../senders.ts';

const JITTER = 0.2;

/**
 * The schedule, in real `WebhookDelivery` runs on a server that skips time, with the database's clock set to that
 * server's: what the log says of when the twelve attempts were made.
 */
export const delays: Part = {
  name: 'delays',
  shows: 'when the twelve attempts of a delivery are made, on a server that skips time',
  run: async (lab) => {
    logUnexpectedWarnings(/^Temporal Server 1\.16\.0 or newer is required/);
    const runs = lab.quick ? 2 : 25;
    const field = await openField(lab);
    const receiver = await startHostileReceiver();
    lab.onEnd(() => receiver.close());
    await startSenderHere(lab, field);
    const server = await startTestServer(await lab.servers.timeSkippingServer());
    lab.onEnd(() => server.stop());
    const env = await connectTimeSkipping(server.address);
    lab.onEnd(() => env.teardown());

    await field.pool.query(NOTE_WAITS);
    const targets = await Promise.all(Array.from({ length: runs }, () => field.target(receiver.answer(500))));
    const ids = targets.map(({ destinationId }) => destinationId);
    const poster = createWebhookPoster({ allowHttp: true, allowedPorts: 'any', allowedCidrs: ['127.0.0.0/8'] });
    lab.onEnd(() => poster.close());
    const { attemptDelivery } = attemptActivity(
      deliveryLedger(field.tenants, field.sealer),
      attemptTools(field, poster),
    );
    const worker = await Worker.create({
      connection: env.nativeConnection,
      namespace: env.namespace ?? 'default',
      taskQueue: TASK_QUEUES.webhooks,
      workflowBundle: { codePath: await lab.servers.bundlePath() },
      activities: { attemptDelivery },
    });
    await worker.runUntil(async () => {
      lab.say(`${runs} deliveries that fail twelve times`);
      await Promise.all(targets.map(({ applicationId }) => field.tell(applicationId)));
      await firstAttempts(field.pool, ids, 60_000);
      await startRuns(field, env);
      await passThreeDays(lab, field, env);
    });
    const { rows: waits } = await field.pool.query<Wait>(
      `select attempt, extract(epoch from next_at - asked_at)::float8 as seconds,
         started_at < next_at - interval '1 second' as early
       from asked join delivery_attempt using (delivery_id, attempt)`,
    );
    const { rows: ended } = await field.pool.query<{ state: string }>('select state from delivery');

    return [
      same(`runs that ended exhausted`, ended.filter(({ state }) => state === 'exhausted').length, runs),
      same('attempts of each', new Set(waits.map(({ attempt }) => attempt)).size + 1, MAX_ATTEMPTS),
      ...DELIVERY_DELAYS_MS.map((delayMs, index): Row => {
        const seconds = waits.filter(({ attempt }) => attempt === index + 2).map((wait) => wait.seconds);
        const [least, most] = [(delayMs / 1_000) * (1 - JITTER), (delayMs / 1_000) * (1 + JITTER)];
        const [shortest, longest] = [Math.min(...seconds), Math.max(...seconds)];
        return {
          what: `wait before attempt ${index + 2}`,
          expected: `${readable(least)} to ${readable(most)}`,
          seen: `${readable(shortest)} to ${readable(longest)} (${seconds.length})`,
          ok: seconds.length === runs && shortest >= least - 0.01 && longest <= most + 0.01,
        };
      }),
      same('attempts that came before their time', waits.filter(({ early }) => early).length, 0),
    ];
  },
};

/** What a delivery waits for. */
interface Wait {
  /** The number of the next attempt. */
  readonly attempt: number;
  /** From the record of the former one. */
  readonly seconds: number;
  /** Whether it came earlier; a second is within what clocks may differ. */
  readonly early: boolean;
}

/** Notes each wait as it is written down, which a busy machine cannot stretch; as its owner, for no sender may. */
const NOTE_WAITS = `
  create table asked (delivery_id uuid, attempt int, next_at timestamptz, asked_at timestamptz);
  create function note_wait() returns trigger language plpgsql security definer set search_path from current as
    'begin insert into asked values (new.delivery_id, new.attempts + 1, new.next_at, handoff_now()); return null; end';
  create trigger note_wait after update on delivery for each row
    when (new.state = 'retrying' and new.next_at > old.next_at) execute function note_wait();`;

/** Carries out the wishes for runs, as a relay would. */
async function startRuns({ pool, tenants }: Field, env: TestWorkflowEnvironment): Promise<void> {
  const client = connectHandoffClient({ client: env.client });
  const { rows } = await pool.query<Wish>(
    `select outbox_id as "outboxId", wish, token_id as "tokenId", subject_id as "subjectId", signal from outbox
     where wish = 'retry_delivery'`,
  );
  await Promise.all(rows.map((wish) => carryOut(wish, { tenants, client })));
}

/**
 * Moves both clocks on to the next attempt and waits for it, until there is none. The server would skip time by itself,
 * but also while an attempt is under way, which then takes hours by its clock.
 */
async function passThreeDays(lab: Lab, { pool }: Field, env: TestWorkflowEnvironment): Promise<void> {
  const look = async () => {
    const { rows } = await pool.query<{ waiting: number; waitMs: number | null; made: number }>(
      `select (count(*) filter (where ended_at is null))::int as waiting,
         (extract(epoch from min(next_at) filter (where ended_at is null) - handoff_now()) * 1000)::float8 as "waitMs",
         (select count(*)::int from delivery_attempt where state = 'failed') as made
       from delivery`,
    );
    return rows[0] ?? { waiting: 0, waitMs: null, made: 0 };
  };
  for (let now = await look(); now.waiting > 0;) {
    // The run's timer is set a moment after its row.
    const stepMs = Math.max(now.waitMs ?? 0, 0) + 100;
    // The database's clock first: an attempt that comes before its time would be put off.
    await pool.query('update test_clock set shift = shift + make_interval(secs => $1)', [stepMs / 1_000]);
    await env.sleep(stepMs);
    const { made } = now;
    for (const until = Date.now() + 5_000; now.made === made && Date.now() < until; now = await look()) await pause(10);
    if (now.made % 50 === 0) lab.say(`${now.made} attempts`);
  }
}

function readable(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return seconds < 3_600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3_600).toFixed(2)} h`;
}
