/*
 * `npm run history:save`: runs the workflow tests and keeps the histories of the paths that have none yet.
 * `-- --replace` makes all of them anew: only for changes that no run under way can meet, since a history that a
 * change breaks is a run that it breaks.
 */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HISTORIES, historyName, KEEP_HISTORIES } from '../test/support/saved-histories.ts';

const replace = process.argv.includes('--replace');
const fresh = await mkdtemp(join(tmpdir(), 'handoff-histories-'));
try {
  const vitest = join(import.meta.dirname, '..', 'node_modules', 'vitest', 'vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/workflows'], {
    stdio: 'inherit',
    env: { ...process.env, [KEEP_HISTORIES]: fresh },
  });
  if (status !== 0) throw new Error('The workflow tests failed: no history was saved');

  const old = await readdir(HISTORIES);
  if (replace) await Promise.all(old.map((file) => rm(join(HISTORIES, file))));
  const kept = new Set(replace ? [] : old.map(historyName));
  const saved = (await readdir(fresh)).filter((file) => !kept.has(historyName(file)));
  await Promise.all(saved.map((file) => copyFile(join(fresh, file), join(HISTORIES, file))));
  console.log(saved.length === 0 ? 'Every path has a history already' : `Saved ${saved.toSorted().join('\n      ')}`);
} finally {
  await rm(fresh, { recursive: true, force: true });
}
