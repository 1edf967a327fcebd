import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { codeBlocks, document, PROJECT } from '../support/markdown.ts';

/** They take minutes to hours, so that what is run of each is what it makes of its options. */
const COMMANDS = ['docs/reliability.md', 'docs/benchmarks.md'].flatMap((name) =>
  codeBlocks(document(name), 'bash').flatMap((block) =>
    Array.from(
      block.matchAll(/^npm run (chaos|bench)(?: -- ([^#\n]*))?/gm),
      ([line, command = '', options = '']) => [line, command, options] as const,
    ),
  ),
);

test('there are commands of both', () => {
  expect(new Set(COMMANDS.map(([, command]) => command))).toEqual(new Set(['chaos', 'bench']));
});

test.each(COMMANDS)('%s is understood', (_line, command, options) => {
  const args = [join(PROJECT, command, 'run.ts'), ...options.trim().split(/\s+/).filter(Boolean), '--help'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  for (const option of options.match(/--[a-z]+/g) ?? []) expect(stdout).toContain(option);
});
