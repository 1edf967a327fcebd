import type { AttemptRecord } from '../webhooks/ports.ts';
import type { Transaction } from './tenants.ts';

/** Requests in flight at one destination, over all processes (webhooks.md A5). */
export const MAX_IN_FLIGHT = 10;

/** How long an attempt may hold its delivery, in seconds: its 15 s limit and room for the database. */
export const LEASE_SECONDS = 20;

/** Consecutive failures that open the circuit of a destination. */
const FAILURES_IN_A_ROW = 10;

/** The share of failures that opens it as well, among so many attempts at least, in this time, of the last so many. */
const FAILURE_SHARE = 0.7;
const LEAST_ATTEMPTS = 10;
const WINDOW = `interval '5 minutes'`;
const LAST_ATTEMPTS = 100;

/** How long nothing goes out before a probe. */
const OPEN_FOR = `interval '60 seconds'`;

/** How long one that was overloaded takes one request at a time, unless one succeeds before. */
const SINGLE_FOR = `interval '60 seconds'`;

/** A success is written at most so often, so that a healthy destination has no hot row. */
const SUCCESS_EVERY = `interval '10 seconds'`;

/** One reading of the clock for a whole statement; an index can be searched by it. */
export const CLOCK = 'clock as materialized (select handoff_now() as now)';

/**
 * Requests in flight with which destination `d` with the health row `h` takes scheduled attempts: fewer with each failure
 * in a row, so that one that hangs ties up little; one when it was overloaded or as a probe, or none.
 */
export const ALLOWANCE = `case
  when not d.enabled or h.slow_until > clock.now then 0
  when h.circuit_open_until is null and h.single_until > clock.now then 1
  when h.circuit_open_until is null then greatest(1, ${MAX_IN_FLIGHT} - h.consecutive_failures)
  when h.circuit_open_until > clock.now or h.probe_until > clock.now then 0
  else 1 end`;

/** Requests at the destination of the health row `h`, of whatever sort; one whose sender died is forgotten with its lease. */
export const IN_FLIGHT = `(select count(*)::int from delivery_attempt f
  where f.destination_id = h.destination_id and f.state = 'started'
    and f.started_at > clock.now - interval '${LEASE_SECONDS} seconds')`;

/** Requests of each application that are in flight, over all its destinations. */
export const IN_FLIGHT_OF_APPLICATIONS = `busy as materialized (
  select f.application_id, count(*)::int as in_flight from delivery_attempt f, clock
  where f.state = 'started' and f.started_at > clock.now - interval '${LEASE_SECONDS} seconds' group by 1)`;

/** When the rest of the destination of the health row `h` ends, or ended; null when it has none. */
export const REST_ENDS = `greatest(h.slow_until, h.circuit_open_until,
  case when h.circuit_open_until is not null then h.probe_until end)`;

/** Milliseconds until the destination of the health row `h` may take something; below 0 or null when it is just full. */
export const OPENS_IN_MS = `(extract(epoch from ${REST_ENDS} - clock.now) * 1000)::float8`;

/**
 * Hands the destinations of `selection`, whose health rows it locks, to the transaction's next statement ({@link LOCKED}).
 * That one begins after the locks are there, and so sees what their last holders did; both go out together.
 *
 * @param selection relation with `destination_id`
 */
export const handOver = (selection: string): string =>
  `set_config('handoff.destinations', coalesce(string_agg(${selection}.destination_id::text, ','), ''), true)`;

/** The destinations that the transaction has locked, as `locked (destination_id)`. */
export const LOCKED = `unnest(string_to_array(current_setting('handoff.destinations'), ',')::uuid[]) as locked (destination_id)`;

/** Attempt `$2` went to where destination `$1` is now: one at a former URL says nothing of it. */
const AT_ITS_URL = `exists (
  select 1 from delivery_attempt judged join webhook_destination d on d.url = judged.request_url
  where judged.attempt_id = $2 and d.destination_id = $1)`;

/**
 * Writes down how a destination fared, before anything else of the attempt is: its row is the first to be locked. An
 * attempt of which nothing was sent, or that went to a former URL, says nothing about the receiver.
 */
export function recordHealth(
  tx: Transaction,
  record: Pick<
    AttemptRecord,
    'destinationId' | 'attemptId' | 'state' | 'slowDestinationMs' | 'hint' | 'advisory' | 'requestHeaders'
  >,
): void {
  if (record.requestHeaders === null) return;
  if (record.state === 'delivered') recordSuccess(tx, record);
  else if (record.advisory !== true) recordFailure(tx, record);
}

type Fared = Pick<AttemptRecord, 'destinationId' | 'attemptId' | 'slowDestinationMs' | 'hint'>;

function recordSuccess(tx: Transaction, { destinationId, attemptId }: Fared): void {
  tx.send(
    `update webhook_health set consecutive_failures = 0, failing_since = null, told_percent = 0,
       circuit_closed_at = case when circuit_open_until is null then circuit_closed_at else handoff_now() end,
       circuit_open_until = null, probe_until = null, single_until = null, last_success_at = handoff_now()
     where destination_id = $1 and (consecutive_failures > 0 or failing_since is not null
       or circuit_open_until is not null or coalesce(last_success_at, '-infinity') < handoff_now() - ${SUCCESS_EVERY})
       and ${AT_ITS_URL}`,
    [destinationId, attemptId],
  );
}

function recordFailure(tx: Transaction, { destinationId, attemptId, slowDestinationMs, hint }: Fared): void {
  // Apart from the change, so that it counts what was recorded while it waited.
  tx.send('select 1 from webhook_health where destination_id = $1 for update', [destinationId]);
  tx.send(
    `with ${CLOCK}
     update webhook_health h set consecutive_failures = h.consecutive_failures + 1,
       failing_since = coalesce(h.failing_since, clock.now),
       slow_until = greatest(h.slow_until, clock.now + make_interval(secs => $3 / 1000.0)),
       single_until = case when $4 then clock.now + ${SINGLE_FOR} else h.single_until end,
       circuit_open_until = case
         when h.circuit_open_until > clock.now then h.circuit_open_until
         when h.circuit_open_until is not null or h.consecutive_failures + 1 >= ${FAILURES_IN_A_ROW} or (
           -- This attempt is still started.
           select 1 + count(*) >= ${LEAST_ATTEMPTS}
             and 1 + count(*) filter (where a.state = 'failed') >= ${FAILURE_SHARE} * (1 + count(*))
           from (select t.state from delivery_attempt t join delivery v on v.delivery_id = t.delivery_id
                 -- A test send is advisory.
                 where t.destination_id = h.destination_id and t.state in ('delivered', 'failed') and v.owner <> 'hand'
                   and t.request_headers is not null
                   and t.created_at > greatest(clock.now - ${WINDOW}, h.circuit_closed_at)
                 order by t.created_at desc limit ${LAST_ATTEMPTS - 1}) a
         ) then clock.now + ${OPEN_FOR} end,
       probe_until = null
     from clock where h.destination_id = $1 and ${AT_ITS_URL}`,
    [destinationId, attemptId, slowDestinationMs, hint === 'slow_down'],
  );
}
