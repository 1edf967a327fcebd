import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { quantile } from '../../torture/api-server.ts';
import { same, type Row } from '../../torture/part.ts';
import type { Member } from '../fleet.ts';
import { readRows } from '../oracle-reading.ts';
import type { Fault, Rig } from '../rig.ts';
import { slope, type Sample } from '../slope.ts';
import { eventIdOf } from '../webhook-text.ts';
import { noFaults, toldBetween } from '../window.ts';

/** What a process holds, over the time. */
interface Held {
  readonly member: Member;
  readonly pid: number;
  readonly memory: Sample[];
  readonly files: Sample[];
}

/** A leak passes them within an hour. A short soak still sees engines and pools warm up, so that its limits say little. */
const LIMITS = { quick: { memoryMiB: 100, files: 40 }, long: { memoryMiB: 40, files: 10 } };

/** Nothing is broken: what each process holds must not rise with the time, and nobody may be refused. */
export const soak: Fault = {
  id: 'F20',
  what: 'soak: nothing broken for 30 s (long: 60 min); memory and open files stay level',
  run: async (rig) => {
    const seconds = rig.quick ? 30 : 3_600;
    const everyMs = Math.max(1_000, (seconds * 1_000) / 240);
    const begun = Date.now();
    const all = rig.fleet.members.map((member): Held => ({ member, pid: member.pid ?? 0, memory: [], files: [] }));
    while (Date.now() - begun < seconds * 1_000) {
      for (const held of all) look(held, (Date.now() - begun) / 1_000);
      await pause(everyMs);
    }
    const told = toldBetween(rig, begun);
    const limits = rig.quick ? LIMITS.quick : LIMITS.long;
    return [
      noFaults('meanwhile', told),
      same('calls without an answer, or answered 503', told.unanswered + told.unavailable, 0),
      await firstAttempts(rig, begun),
      same('processes that ended', all.filter(({ member, pid }) => member.pid !== pid).length, 0),
      ...all.flatMap(({ member, memory, files }) => [
        rise(`${member.name}: memory`, memory, limits.memoryMiB, ' MiB'),
        rise(`${member.name}: open files`, files, limits.files, ''),
      ]),
    ];
  },
};

/** How long after its commit an event came to its receiver for the first time. */
async function firstAttempts(rig: Rig, since: number): Promise<Row> {
  const events = await readRows<{ id: string; at: number }>(
    rig,
    `select application_id || ' ' || event_id as id, extract(epoch from created_at)::float8 * 1000 as at
     from event where created_at > to_timestamp($1)`,
    [since / 1_000],
  );
  const committed = new Map(events.map(({ id, at }) => [id, at]));
  const first = new Map<string, number>();
  for (const { as, rawBody, at } of rig.ledger.heard.filter((heard) => heard.at >= since)) {
    const id = `${as} ${eventIdOf(rawBody)}`;
    if (!first.has(id)) first.set(id, at);
  }
  const delays = [...first].flatMap(([id, at]) => at - (committed.get(id) ?? Infinity)).filter((ms) => ms > -Infinity);
  const milliseconds = (share: number) => `${quantile(delays, share).toFixed(0)} ms`;
  return {
    what: 'from the transaction that made an event to its first attempt',
    expected: 'measured',
    seen: `p50 ${milliseconds(0.5)}, p99 ${milliseconds(0.99)}, of ${delays.length}`,
    ok: delays.length > 0,
  };
}

function look({ member, pid, memory, files }: Held, at: number): void {
  // One that ended has a row of its own.
  if (member.pid !== pid) return;
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  memory.push({ at, value: Number(kib) / 1_024 });
  files.push({ at, value: readdirSync(`/proc/${pid}/fd`).length });
}

/** How far the second half's slope would carry it over the whole soak. */
function rise(what: string, samples: readonly Sample[], most: number, unit: string): Row {
  const late = samples.slice(Math.floor(samples.length / 2));
  const lasted = (samples.at(-1)?.at ?? 0) - (samples[0]?.at ?? 0);
  const risen = slope(late) * lasted;
  const last = samples.at(-1)?.value ?? Number.NaN;
  const seen = `${risen >= 0 ? '+' : ''}${risen.toFixed(1)}${unit}, at ${last.toFixed(0)}${unit}`;
  return {
    what: `${what}, rise by the slope of the second half`,
    expected: `≤ ${most}${unit}`,
    seen,
    ok: risen <= most && late.length > 2,
  };
}
