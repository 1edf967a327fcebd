import { expect, test } from 'vitest';
import { createRandom } from '../../chaos/random.ts';
import type { Fault, Rig } from '../../chaos/rig.ts';
import { torment } from '../../chaos/torment.ts';

const nothing = () => Promise.resolve();

/** A rig of which nothing runs. */
function emptyRig(seed: number): Rig {
  const servers = { start: nothing };
  return {
    seed,
    random: createRandom(seed),
    minutes: null,
    say: () => undefined,
    postgres: servers,
    temporal: servers,
    fleet: { heal: nothing },
  } as unknown as Rig;
}

/** The faults' order, and what each drew but the first, which draws so often. */
async function choices(seed: number, draws: number) {
  const drawn: Record<string, number[]> = {};
  const drawing = (id: string, count: number): Fault => ({
    id,
    what: '',
    alone: true,
    run: async ({ random }) => {
      drawn[id] = Array.from({ length: count }, () => random.next());
      return [];
    },
  });
  const order: string[] = [];
  const faults = [drawing('clocked', draws), ...['F1', 'F2', 'F3'].map((id) => drawing(id, 3))];
  await torment(emptyRig(seed), { faults, rate: 1, onBegin: ({ id }) => order.push(id) });
  const { clocked, ...others } = drawn;
  expect(clocked).toHaveLength(draws);
  return { order, others };
}

test.for([1, 2, 3])(
  'seed %d repeats the order and what each fault draws, however much another one drew',
  async (seed) => {
    const once = await choices(seed, 2);
    expect(await choices(seed, 1_000)).toEqual(once);
    expect(await choices(seed + 1, 2)).not.toEqual(once);
    expect(new Set(Object.values(once.others).flat()).size).toBe(9);
  },
);

test('a fault that breaks is a row that failed, and what it left is mended', async () => {
  const broken: Fault = { id: 'F0', what: '', alone: true, run: () => Promise.reject(new Error('it broke')) };
  const rows = await torment(emptyRig(1), { faults: [broken], rate: 1, onBegin: () => undefined });
  expect(rows).toEqual([expect.objectContaining({ part: 'F0', seen: expect.stringContaining('it broke'), ok: false })]);
});
