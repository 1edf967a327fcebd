import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PYTHON = process.env['PYTHON'] || 'python3';
const HELP = 'install Python 3.9 or later with its venv module (Debian: apt-get install python3-venv), or set PYTHON';

/**
 * A virtual environment with pinned packages of PyPI, made once per machine: its folder of executables.
 *
 * @param requirements each pinned: `moto[server]==5.2.5`
 * @throws Error that says what to install
 */
export async function pythonTool(requirements: readonly string[]): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'handoff', 'python');
  const { version, platform } = await describePython();
  const pins = [version, platform, ...[...requirements].sort()].join('\n');
  const folder = join(cache, createHash('sha256').update(pins).digest('hex').slice(0, 16));
  if (await exists(join(folder, 'ready'))) return join(folder, 'bin');
  await mkdir(cache, { recursive: true });
  return build(folder, requirements);
}

/** Builds where it stays, for its scripts name their interpreter by path; a lock says who does, when several want it. */
async function build(folder: string, requirements: readonly string[]): Promise<string> {
  const lock = `${folder}.lock`;
  const until = Date.now() + 240_000;
  while (!(await taken(lock))) {
    if (await exists(join(folder, 'ready'))) return join(folder, 'bin');
    if (Date.now() > until) throw new Error(`${lock} is held by nobody who finishes: remove it`);
    await pause(200);
  }
  try {
    if (await exists(join(folder, 'ready'))) return join(folder, 'bin');
    await rm(folder, { recursive: true, force: true });
    await run(PYTHON, ['-m', 'venv', folder]).catch((error: unknown) => {
      throw new Error(`${PYTHON} -m venv failed: ${HELP}. ${lastLine(error)}`);
    });
    const install = ['install', '--quiet', '--disable-pip-version-check', ...requirements];
    await run(join(folder, 'bin', 'pip'), install, { timeout: 240_000 }).catch((error: unknown) => {
      throw new Error(`pip could not install ${requirements.join(', ')}: ${lastLine(error)}`);
    });
    await mkdir(join(folder, 'ready'));
    return join(folder, 'bin');
  } finally {
    await rm(lock, { recursive: true, force: true });
  }
}

async function describePython(): Promise<{ version: string; platform: string }> {
  const program = 'import sys, platform; print(sys.executable, sys.version_info[:3]); print(platform.platform())';
  const { stdout } = await run(PYTHON, ['-c', program]).catch((error: unknown) => {
    throw new Error(`${PYTHON} does not run: ${HELP}. ${lastLine(error)}`);
  });
  const [version = '', platform = ''] = stdout.trim().split('\n');
  return { version, platform };
}

async function taken(lock: string): Promise<boolean> {
  return mkdir(lock).then(
    () => true,
    () => false,
  );
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function lastLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr || message).trim().split('\n').at(-1) ?? '';
}
