import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Account, giveTo } from './unprivileged.ts';

/** Postgres' executables, with the version of the package that brings them ("18.4.0"). */
export interface PostgresPrograms {
  initdb: string;
  postgres: string;
  version: string;
}

/** Where a cluster lies and who owns it. */
export interface ClusterPlace {
  /** The real folder, which the account can reach. */
  folder: string;
  /** The folder as the caller knows it: `folder`, or a link to it. */
  named: string;
  programs: PostgresPrograms;
  account: Account | undefined;
}

/**
 * Makes the cluster when there is none: aside, then renamed, so that a killed run leaves nothing half done.
 *
 * @returns the superuser's password, from `<named>.password` (mode 600)
 */
export async function prepareCluster({ folder, named, programs, account }: ClusterPlace): Promise<string> {
  const passwordFile = `${named}.password`;
  const versionFile = join(folder, 'PG_VERSION');
  if (existsSync(versionFile)) {
    const found = readFileSync(versionFile, 'utf8').trim();
    const wanted = programs.version.split('.')[0];
    if (found !== wanted)
      throw new Error(`${named} was written by Postgres ${found}, not ${wanted}: start with --fresh`);
    if (!existsSync(passwordFile))
      throw new Error(`${passwordFile} is missing, so the data can't be opened: start with --fresh`);
    return readFileSync(passwordFile, 'utf8').trim();
  }

  const password = randomBytes(24).toString('hex');
  const scratch = `${folder}.new`;
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { mode: 0o700 });
  giveTo(account, scratch);
  const initialPassword = `${folder}.initial`;
  writeFileSync(initialPassword, password, { mode: 0o600 });
  giveTo(account, initialPassword);
  // One locale on every system, whatever the machine has installed.
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  const access = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${initialPassword}`];
  try {
    const args = [`--pgdata=${scratch}`, ...locale, ...access, '--no-instructions'];
    await promisify(execFile)(programs.initdb, args, { ...account, cwd: dirname(folder) });
  } finally {
    rmSync(initialPassword, { force: true });
  }
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  renameSync(scratch, folder);
  return password;
}

/**
 * Postgres leaves its pid file behind when it is killed, and believes it when that pid lives again as another program
 * (usual in containers, where pids are small). A file whose process is no Postgres of this folder is therefore removed.
 */
export function removeStalePid(dataFolder: string): void {
  const pidFile = join(dataFolder, 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
  if (commandLine(pid).includes(dataFolder)) {
    throw new Error(`A Postgres (process ${pid}) is running on ${dataFolder}: end the program that started it first`);
  }
  rmSync(pidFile);
}

function commandLine(pid: number): string {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { stdio: 'pipe' }).toString();
  } catch {
    return '';
  }
}
