import { setTimeout as pause } from 'node:timers/promises';
import { Pool } from 'pg';
import type { Death } from './arm/armed.ts';
import type { Rig } from './rig.ts';

/** Measures how soon somebody goes on with what a killed process was at. */
export interface Resumption {
  /** Notes what was under way, as soon as the death is known. */
  died(death: Death): Promise<void>;
  /** Resolves when all that this death met has gone on, or so long after it. */
  wentOn(death: Death, patienceMs: number): Promise<void>;
  /** Waits for what has not gone on yet, and ends the measuring. */
  end(): Promise<Resumed>;
}

/** What came of it. */
export interface Resumed {
  /** From each death until what was under way had made its next step, in their order. */
  readonly steps: readonly Step[];
  /** What had not within the time limit. */
  readonly stuck: readonly string[];
}

/** Something that went on after a death. */
export interface Step {
  readonly what: Standing['what'];
  /** Where its process died. */
  readonly point: string;
  readonly seconds: number;
}

/**
 * Onboardings and deliveries that wait for us, not for their partner, with how far they are. One that was taken back before
 * its token was minted ends in that transaction, and has no run that goes on.
 */
const UNDER_WAY = `
  select o.token_id as id, 'onboarding' as what,
    concat_ws(' ', o.status, o.ended_at, t.closed_as, a.state, steps.begun, steps.finished) as stands,
    steps.told or o.ended_at is not null and t.token_id is null or o.status = 'waiting' and t.closed_at is null and a.state is distinct from 'unspent'
      and not exists (select 1 from redemption r where r.token_id = o.token_id) as rests
  from onboarding o
    left join share_token t on t.token_id = o.token_id
    left join lateral (select state from acknowledgement a where a.token_id = o.token_id
      order by created_at desc limit 1) a on true
    cross join lateral (select sum(attempts) as begun, count(finished_at) as finished,
      coalesce(bool_or(step = 'notify' and finished_at is not null), false) as told
      from onboarding_step s where s.token_id = o.token_id) steps
  where o.token_id = any ($1::uuid[])
  union all
  select v.delivery_id, 'delivery', concat_ws(' ', v.state, v.attempts, v.lease_until, v.ended_at),
    v.lease_until is null or v.ended_at is not null
  from delivery v where v.delivery_id = any ($1::uuid[]) or v.event_id = any ($1::uuid[])`;

interface Standing {
  readonly id: string;
  readonly what: 'onboarding' | 'delivery';
  readonly stands: string;
  /** Nobody but its partner, or nobody, has anything to do. */
  readonly rests: boolean;
}

interface Watched extends Standing {
  readonly death: Death;
}

const LOOK_MS = 250;
/** Longer than any lease and any time limit of a run, several times on end: a machine that is busy is slow, and not stuck. */
const LIMIT_MS = 300_000;

/**
 * Begins to measure, past every proxy.
 *
 * @param limitMs after this, what has not gone on is stuck
 */
export function startResumption(
  { postgres }: { readonly postgres: Pick<Rig['postgres'], 'url'> },
  limitMs = LIMIT_MS,
): Resumption {
  const database = new Pool({ connectionString: postgres.url, max: 1 });
  database.on('error', () => undefined);
  const standing = async (ids: readonly string[]) => (await database.query<Standing>(UNDER_WAY, [ids])).rows;
  const watched = new Set<Watched>();
  const steps: Step[] = [];
  const stuck: string[] = [];

  async function look(): Promise<void> {
    const looked = [...watched];
    const now = new Map((await standing(looked.map(({ id }) => id))).map((one) => [one.id, one]));
    for (const one of looked) {
      const passed = Date.now() - one.death.at;
      const goesOn = now.get(one.id)?.stands !== one.stands;
      if (!goesOn && passed < limitMs) continue;
      watched.delete(one);
      if (goesOn) steps.push({ what: one.what, point: one.death.point, seconds: passed / 1_000 });
      else stuck.push(`${one.what} ${one.id} after ${one.death.point}`);
    }
  }

  const ending = new AbortController();
  const watching = (async () => {
    while (!ending.signal.aborted || watched.size > 0) {
      if (watched.size > 0) await look();
      await pause(LOOK_MS);
    }
  })();
  // Whoever ends it hears of it.
  watching.catch(() => undefined);
  return {
    died: async (death) => {
      const rows = death.about.length === 0 ? [] : await standing(death.about);
      for (const row of rows) if (!row.rests) watched.add({ ...row, death });
    },
    wentOn: async (death, patienceMs) => {
      const waits = () => [...watched].some((one) => one.death === death);
      while (waits() && Date.now() - death.at < patienceMs) await pause(LOOK_MS);
    },
    end: async () => {
      ending.abort();
      try {
        await watching;
      } finally {
        await database.end();
      }
      return { steps: steps.toSorted((one, other) => one.seconds - other.seconds), stuck };
    },
  };
}
