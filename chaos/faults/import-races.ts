import type { Part } from '../../torture/part.ts';
import { inLab } from './in-lab.ts';
import { testsPass } from './test-run.ts';

const races: Part = {
  name: 'races',
  shows: 'imports at the same moment as whatever ends them: each outcome is one that some order explains',
  run: async (lab) => {
    const rounds = lab.quick ? 10 : 200;
    const run = (what: string, files: readonly string[]) =>
      testsPass(lab, `${what}, ${rounds} rounds of each race`, files, { RACE_ROUNDS: String(rounds) });
    return [
      await run('import against revocation, deletion, suspension, expiry and itself', [
        'test/e2e/import-races.test.ts',
      ]),
      await run('import against deleted applications, removed, rotated and rewrapped keys', [
        'test/e2e/key-races.test.ts',
      ]),
    ];
  },
};

/** Imports that race what takes their ground away. */
export const importRaces = inLab(
  { id: 'F16', what: 'import against revoke, delete, suspend, expiry and key rotation: linearizable' },
  races,
);
