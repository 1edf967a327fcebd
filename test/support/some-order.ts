import { isDeepStrictEqual } from 'node:util';
import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '../../src/domain/failures.ts';

/** One thing that somebody does in a race. */
export type Op<Scene> = (scene: Scene) => Promise<unknown>;

/** A race: a fresh scene for each round, what happens at once in it, and all that can be seen afterwards. */
export interface Race<Scene> {
  scene(): Promise<Scene>;
  readonly ops: Readonly<Record<string, Op<Scene>>>;
  /** Ids must be named by their role, so that two rounds of one story look alike. */
  seen(scene: Scene): Promise<unknown>;
}

/** What a round came to: each op's answer, and what was seen afterwards. */
export interface Outcome {
  readonly answers: Readonly<Record<string, string>>;
  readonly seen: unknown;
}

/** Every outcome that doing the ops one after the other can have, over all their orders; each once. */
export async function serialOutcomes<Scene>(race: Race<Scene>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const order of permutations(Object.keys(race.ops))) {
    const scene = await race.scene();
    const answers: Record<string, string> = {};
    for (const name of order) answers[name] = await answerTo(race.ops[name], scene);
    const outcome = { answers, seen: await race.seen(scene) };
    if (!outcomes.some((known) => isDeepStrictEqual(known, outcome))) outcomes.push(outcome);
  }
  return outcomes;
}

/** One round with all ops at once, each after a small random delay. */
export async function raceOnce<Scene>(race: Race<Scene>, maxDelayMs: number): Promise<Outcome> {
  const scene = await race.scene();
  const entries = await Promise.all(
    Object.entries(race.ops).map(async ([name, op]) => {
      const delay = Math.random() * maxDelayMs;
      if (delay >= 1) await pause(delay);
      return [name, await answerTo(op, scene)] as const;
    }),
  );
  return { answers: Object.fromEntries(entries), seen: await race.seen(scene) };
}

/** Rounds whose outcome no order of the ops explains. */
export async function unexplained<Scene>(
  race: Race<Scene>,
  rounds: number,
  maxDelayMs = 6,
): Promise<{ readonly orders: readonly Outcome[]; readonly rounds: readonly Outcome[] }> {
  const orders = await serialOutcomes(race);
  const strange: Outcome[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const outcome = await raceOnce(race, maxDelayMs);
    if (!orders.some((order) => isDeepStrictEqual(order, outcome))) strange.push(outcome);
  }
  return { orders, rounds: strange };
}

/** `done`, a state that was answered, or the refusal's code. Faults pass through and fail the test. */
async function answerTo<Scene>(op: Op<Scene> | undefined, scene: Scene): Promise<string> {
  try {
    const answer: unknown = await op?.(scene);
    return typeof answer === 'object' && answer !== null && 'state' in answer ? String(answer.state) : 'done';
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const status = error.extra?.['status'];
    return status === undefined ? error.code : `${error.code} (${status})`;
  }
}

function permutations(names: readonly string[]): string[][] {
  if (names.length <= 1) return [[...names]];
  return names.flatMap((first) =>
    permutations(names.filter((name) => name !== first)).map((others) => [first, ...others]),
  );
}
