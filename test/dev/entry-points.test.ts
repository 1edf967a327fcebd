import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runKeys } from '../../src/keys.ts';
import type { CommandOutcome } from '../support/own-command.ts';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));

/** Runs an entry point in a folder of its own. */
function run(
  args: readonly string[],
  {
    folder = mkdtempSync(join(tmpdir(), 'handoff-entry-')),
    env = {},
  }: { folder?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<CommandOutcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...args], { cwd: folder, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
    );
  });
}

const AS_NODE_20 = `data:text/javascript,${encodeURIComponent(
  `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`,
)}`;

it.each(['audit.ts', 'codec-server.ts', 'keys.ts', 'postgres/migrate.ts', 'server.ts', 'worker.ts'])(
  '%s ends at once on a Node that is too old, and says which it needs',
  async (entry) => {
    const { code, stdout, stderr } = await run(['--import', AS_NODE_20, join(SRC, entry)]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(
      /^handoff: this is Node 20\.20\.2, and it needs Node 24\.2 or newer: run it with "npx node"[^\n]*\n$/,
    );
  },
);

describe('npm run keys', () => {
  const keys = [join(SRC, 'dev/keys.ts'), 'status'];
  const folderWith = (files: Readonly<Record<string, string>>): string => {
    const folder = mkdtempSync(join(tmpdir(), 'handoff-keys-'));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return folder;
  };

  it('says where it looked when there is no npm start', async () => {
    const { code, stderr } = await run(keys);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^handoff: no data of npm start is in \S+\/\.handoff: set HANDOFF_FOLDER to where it is, or DATABASE_URL\n$/,
    );
  });

  it('says that npm start does not run, of the folder that .env names', async () => {
    const left = folderWith({
      'state.json': '{"secrets":{}}',
      'sandbox.json': '{"database_url":"postgres://127.0.0.1:1/x"}',
    });
    const { code, stderr } = await run(keys, { folder: folderWith({ '.env': `HANDOFF_FOLDER=${left}\n` }) });
    expect(code).toBe(1);
    expect(stderr).toBe(
      `handoff: the database of npm start in ${left} does not answer: start it, or set DATABASE_URL\n`,
    );
  });

  it.each([
    [['destroy'], 'there is no command "destroy"'],
    [['status', 'two'], 'status takes nothing more, not "two"'],
    [['status', '--by', 'a b'], '--by "a b" is no name: 1 to 64 of'],
  ])('says what it did not understand of %j', async (args, said) => {
    const complaints: string[] = [];
    const output = { print: () => undefined, complain: (text: string) => complaints.push(text) };
    expect(await runKeys(args, {}, output)).toBe(2);
    expect(complaints.join()).toContain(said);
  });
});
