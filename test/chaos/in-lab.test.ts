import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { inLab } from '../../chaos/faults/in-lab.ts';
import type { Rig } from '../../chaos/rig.ts';
import { same, type Part } from '../../torture/part.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-labs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('parts run one after the other in labs of their own, and their rows say which they are of', async () => {
  const seen: string[] = [];
  const part = (name: string, ok: boolean): Part => ({
    name,
    shows: '',
    run: async (lab) => {
      seen.push(`${name} begins`);
      lab.onEnd(async () => void seen.push(`${name} ends`));
      expect(existsSync(lab.folder)).toBe(true);
      return [same('one', ok ? 1 : 2, 1)];
    },
  });
  const rig = { quick: true, folder, say: () => undefined, onEnd: () => undefined } as unknown as Rig;
  const fault = inLab({ id: 'F0', what: 'nothing' }, part('here', true), part('there', false));
  expect(fault).toMatchObject({ id: 'F0', alone: true });
  const rows = await fault.run(rig);
  expect(rows.map(({ what, ok }) => [what, ok])).toEqual([
    ['here: one', true],
    ['there: one', false],
  ]);
  expect(seen).toEqual(['here begins', 'here ends', 'there begins', 'there ends']);
});
