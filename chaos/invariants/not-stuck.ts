import type { WorkflowExecutionDescription } from '@temporalio/client';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { ENDINGS } from '../../src/domain/onboarding.ts';
import { PARTNER_ONBOARDING } from '../../src/domain/temporal-names.ts';
import type { Invariant } from '../invariant.ts';
import { finding, readRows, withTemporal } from '../oracle-reading.ts';

/** Tokens of onboardings whose time is over, or whose onboarding is, and which are neither closed nor redeemed. */
const LEFT_OPEN = `
  select t.token_id as about, case when t.expires_at <= handoff_now() then 'is past its time' else 'has ended' end as why
  from share_token t join onboarding o on o.token_id = t.token_id
  where t.closed_at is null and not exists (select 1 from redemption r where r.token_id = t.token_id)
    and (o.ended_at is not null or t.expires_at <= handoff_now() - interval '5 seconds')`;

/** Rows that say two things. */
const AT_ODDS = `
  select o.token_id as about, o.status from onboarding o left join redemption r on r.token_id = o.token_id
  left join share_token t on t.token_id = o.token_id
  where (o.status = 'imported') <> (r.token_id is not null) or (o.ended_at is not null) <> (o.status = any ($1))
    or ((o.status = 'expired' or o.reason = 'token_expired') and (t.expires_at <= o.ended_at) is not true)
    or exists (select 1 from acknowledgement a where a.token_id = o.token_id and a.state = 'unspent' and o.ended_at is not null)`;

/** Endings that the relay, or a cancelled run, gives a row whose run was lost: nobody here ends runs by hand. */
const LOST = `
  select token_id as about, reason from onboarding where reason in ('run_failed', 'run_terminated', 'cancelled')`;

/** Runs that ended otherwise than by completing, whatever their rows say: nothing that the load does ends one so. */
const BROKEN_OFF = `ExecutionStatus IN ('Failed', 'TimedOut', 'Terminated', 'Canceled')`;

/** I8. */
export const notStuck: Invariant = {
  id: 'I8',
  says: 'no workflow is stuck or lost: each open run waits for something and has an open row, each ended one completed',
  check: async (rig) => {
    const rows = await readRows<{ id: string; ended: boolean }>(
      rig,
      'select token_id as id, ended_at is not null as ended from onboarding',
    );
    const ended = new Map(rows.map((row) => [row.id, row.ended]));
    const left = await readRows<{ about: string; why: string }>(rig, LEFT_OPEN);
    const odd = await readRows<{ about: string; status: string }>(rig, AT_ODDS, [[...ENDINGS]]);
    const lost = await readRows<{ about: string; reason: string }>(rig, LOST);
    const breaks = [
      ...lost.map(({ about, reason }) => `onboarding ${about} was closed as ${reason}: its run was lost`),
      ...left.map(({ about, why }) => `token ${about} ${why}, and is open`),
      ...odd.map(({ about, status }) => `onboarding ${about} is ${status}, and its rows say otherwise`),
    ];
    const running = new Set<string>();
    await withTemporal(rig, async (client) => {
      for await (const listed of client.workflow.list({ query: 'ExecutionStatus = "Running"' })) {
        const handle = client.workflow.getHandle(listed.workflowId, listed.runId);
        const described = await handle.describe();
        // The list is a little behind.
        if (described.status.name !== 'RUNNING') continue;
        running.add(listed.workflowId);
        const what = `${listed.type} ${listed.workflowId}`;
        const waits = waitsForActivity(described) || waitsForTimer(await handle.fetchHistory());
        if (!waits) breaks.push(`${what} is open and waits for nothing`);
        if (listed.type === PARTNER_ONBOARDING && ended.get(listed.workflowId) !== false) {
          breaks.push(`${what} is open, and its row is ${ended.has(listed.workflowId) ? 'ended' : 'missing'}`);
        }
        if (failsTasks(described)) breaks.push(`${what} fails its workflow task again and again`);
      }
      for await (const { type, workflowId, status } of client.workflow.list({ query: BROKEN_OFF })) {
        breaks.push(`${type} ${workflowId} ended as ${status.name.toLowerCase()}`);
      }
    });
    for (const [tokenId, isEnded] of ended) {
      if (!isEnded && !running.has(tokenId)) breaks.push(`onboarding ${tokenId} is open, and has no open run`);
    }
    return finding(`${ended.size} onboardings, ${running.size} open runs`, breaks);
  },
};

/** Something that Temporal has still to hand to a worker, or to hear from one. */
function waitsForActivity({ raw }: WorkflowExecutionDescription): boolean {
  return (raw.pendingActivities ?? []).length > 0 || raw.pendingWorkflowTask != null;
}

/** A timer that was started, and neither fired nor was cancelled. */
function waitsForTimer({ events }: History): boolean {
  const open = new Set<string>();
  for (const event of events ?? []) {
    const { timerStartedEventAttributes: started } = event;
    const over = event.timerFiredEventAttributes ?? event.timerCanceledEventAttributes;
    if (started?.timerId != null) open.add(started.timerId);
    if (over?.timerId != null) open.delete(over.timerId);
  }
  return open.size > 0;
}

/** A task that failed thrice is no crash of a worker. */
function failsTasks({ raw }: WorkflowExecutionDescription): boolean {
  return (raw.pendingWorkflowTask?.attempt ?? 0) > 3;
}
