import { setTimeout as pause } from 'node:timers/promises';
import type { Row } from '../torture/part.ts';
import { isSuccess } from './caller.ts';
import { serverUrls } from './fleet.ts';
import { withDatabase } from './oracle-reading.ts';
import type { Rig } from './rig.ts';

/** After this, something that was mended counts as broken for good. */
const LIMIT_MS = 120_000;
const LOOK_MS = 50;

/**
 * Waits until all is well again: each server says that it is ready, a write that began since succeeded, and a partner
 * heard something since.
 *
 * @param since when it was mended, in milliseconds since 1970
 * @returns seconds from then on; infinite when it did not come within two minutes
 */
export async function untilWell(rig: Rig, since: number): Promise<number> {
  const { ledger, fleet } = rig;
  const [calls, heard] = [ledger.calls.length, ledger.heard.length];
  return within(since, async () => {
    const written = ledger.calls
      .slice(calls)
      .some((call) => call.at >= since && call.method !== 'GET' && isSuccess(call));
    const delivered = ledger.heard.slice(heard).some(({ at }) => at >= since);
    return written && delivered && (await allReady(serverUrls(fleet)));
  });
}

/**
 * Waits until every wish that was written before a moment was carried out: the backlog of an outage is gone.
 *
 * @param since when it was mended, in milliseconds since 1970
 * @returns seconds from then on; infinite when it is not gone within two minutes, or `limitMs`
 */
export async function untilCaughtUp(rig: Rig, since: number, limitMs = LIMIT_MS): Promise<number> {
  return withDatabase(rig, async (database) => {
    const late = async () => {
      const { rows } = await database.query<LateWish>(
        `select wish, subject_id as "subjectId", attempts, due_at - handoff_now() > interval '0' as waits
         from outbox where created_at < to_timestamp($1) order by outbox_id`,
        [since / 1000],
      );
      return rows;
    };
    const seconds = await within(since, async () => (await late()).length === 0, limitMs);
    if (!Number.isFinite(seconds)) {
      const left = await late();
      rig.say(`Still to be done: ${left.length} wishes, the first of them ${JSON.stringify(left.slice(0, 3))}`);
    }
    return seconds;
  });
}

/** A wish that nobody has carried out. */
interface LateWish {
  readonly wish: string;
  readonly subjectId: string;
  readonly attempts: number;
  /** Whether it waits for its next try. */
  readonly waits: boolean;
}

/** A row of how long it took until something was well again. */
export function healed(what: string, seconds: number, mostSeconds = LIMIT_MS / 1000): Row {
  const seen = Number.isFinite(seconds) ? `${seconds.toFixed(1)} s` : 'never';
  return { what, expected: `≤ ${mostSeconds} s`, seen, ok: seconds <= mostSeconds };
}

async function within(since: number, isSo: () => Promise<boolean>, limitMs = LIMIT_MS): Promise<number> {
  while (Date.now() - since < limitMs) {
    if (await isSo()) return (Date.now() - since) / 1000;
    await pause(LOOK_MS);
  }
  return Infinity;
}

async function allReady(urls: readonly string[]): Promise<boolean> {
  const answers = await Promise.all(
    urls.map((url) =>
      fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(5_000) }).then(
        async (answer) => {
          await answer.arrayBuffer();
          return answer.ok;
        },
        () => false,
      ),
    ),
  );
  return answers.every((ok) => ok);
}
