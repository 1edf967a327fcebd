import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';

/** Runs npm in the project's folder, the one that runs this script where one does, and waits for its end. */
export function runNpm(args: readonly string[]): {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
} {
  const { npm_execpath: npm, npm_node_execpath: node = process.execPath } = process.env;
  const [command, prefix] = npm === undefined ? ['npm', []] : [node, [npm]];
  const { status, stdout, stderr, error } = spawnSync(command, [...prefix, ...args], {
    cwd: dirname(import.meta.dirname),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    shell: npm === undefined && process.platform === 'win32',
  });
  if (error !== undefined) throw new Error(`npm could not be started: ${error.message}`);
  return { status, stdout, stderr };
}
