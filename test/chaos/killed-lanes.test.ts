import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { crashPoints } from '../../chaos/faults/crash-points.ts';
import { endsWithin, type Member } from '../../chaos/fleet.ts';
import type { Rig } from '../../chaos/rig.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-lanes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a process that lives on is waited for no longer than it may take', async () => {
  const never = new Promise<void>(() => undefined);
  expect(await endsWithin({ ended: () => never, isRunning: () => true }, 20)).toBe(false);
  expect(await endsWithin({ ended: () => pause(1), isRunning: () => false }, 60_000)).toBe(true);
});

test('when one process cannot be killed, all others are through before the fault ends with that', async () => {
  const begun: string[] = [];
  const member = (name: string): Member =>
    ({
      name,
      isRunning: () => false,
      stop: () => (name === 'server-1' ? Promise.reject(new Error(`${name} does not end`)) : pause(0)),
      start: async () => void begun.push(name),
      ended: () => pause(0),
    }) as unknown as Member;
  const all = new Map(
    ['server', 'onboarding', 'webhooks'].map((kind) => [kind, [1, 2, 3].map((nth) => member(`${kind}-${nth}`))]),
  );
  const heal = async () => void begun.push('heal');
  const rig = {
    quick: true,
    folder,
    say: () => undefined,
    // Nobody asks it: nothing dies here.
    postgres: { url: 'postgres://127.0.0.1:1/none' },
    fleet: { of: (kind: string) => all.get(kind), heal },
  } as unknown as Rig;
  await expect(crashPoints.run(rig)).rejects.toThrow('server-1 does not end');
  expect(begun.at(-1)).toBe('heal');
  const before = begun.length;
  await pause(50);
  expect(begun).toHaveLength(before);
});
