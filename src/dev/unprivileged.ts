import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** An account of this system. */
export interface Account {
  uid: number;
  gid: number;
}

// Kept over restarts, and open to every account, which the home of root is not.
const PUBLIC_FOLDER = '/var/tmp';

/**
 * The account for a server that refuses to run as root: undefined when this process isn't root, else `postgres`, else
 * `nobody`. No account is created: a trial run should leave the system's accounts alone.
 */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string): number => Number(execFileSync('id', [flag, name], { stdio: 'pipe' }).toString());
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      continue;
    }
  }
  throw new Error(
    'Postgres does not run as root, and there is no account "postgres" or "nobody" to run it as: run this as another user, or set DATABASE_URL',
  );
}

/** Answers `program`, or, when the account can't get there (a clone in root's home), the same in a copy of its folder that it can reach. */
export function reachableProgram(
  folder: string,
  program: string,
  version: string,
  account: Account | undefined,
): string {
  if (account === undefined || canRun(join(folder, program), account)) return join(folder, program);
  const copy = join(PUBLIC_FOLDER, `handoff-postgres-${version}-${process.arch}`);
  // A copy of an installation that was not complete is made anew.
  if (existsSync(copy) && !canRun(join(copy, 'native', program), account)) {
    mustBelongToRoot(copy);
    rmSync(copy, { recursive: true });
  }
  if (!existsSync(copy)) {
    const scratch = mkdtempSync(`${copy}-`);
    cpSync(folder, join(scratch, 'native'), { recursive: true, verbatimSymlinks: true });
    chmodSync(scratch, 0o755);
    try {
      renameSync(scratch, copy);
    } catch {
      rmSync(scratch, { recursive: true });
    }
  }
  mustBelongToRoot(copy);
  return join(copy, 'native', program);
}

/**
 * Answers `folder`, or, when the account can't get to its parent, a folder that it can reach, with a symbolic link to it
 * left at `folder`. Deleting the link is deleting the data: the next call begins with an empty folder.
 */
export function reachableFolder(folder: string, account: Account | undefined): string {
  mkdirSync(dirname(folder), { recursive: true });
  if (account === undefined || canEnter(dirname(folder), account)) return folder;
  const name = createHash('sha256').update(resolve(folder)).digest('hex').slice(0, 16);
  const place = join(PUBLIC_FOLDER, `handoff-data-${name}`);
  const link = lstatSync(folder, { throwIfNoEntry: false });
  if (link !== undefined && !(link.isSymbolicLink() && readlinkSync(folder) === join(place, basename(folder)))) {
    throw new Error(
      `${folder} is in the way: it can't be used by the account that Postgres runs as. Move it or start with --fresh`,
    );
  }
  if (existsSync(place)) mustBelongToRoot(place);
  if (link === undefined) {
    rmSync(place, { recursive: true, force: true });
    symlinkSync(join(place, basename(folder)), folder);
  }
  mkdirSync(place, { recursive: true });
  chmodSync(place, 0o711);
  return join(place, basename(folder));
}

/** Gives a file or an empty folder to the account, so that a server that runs as it can use it. */
export function giveTo(account: Account | undefined, path: string): void {
  if (account !== undefined) chownSync(path, account.uid, account.gid);
}

function mustBelongToRoot(folder: string): void {
  const found = lstatSync(folder);
  if (found.isDirectory() && found.uid === 0 && (found.mode & 0o022) === 0) return;
  throw new Error(`${folder} was not made by this program: remove it, then start again`);
}

function canRun(program: string, account: Account): boolean {
  return spawnSync(program, ['--version'], { ...account, stdio: 'ignore' }).status === 0;
}

function canEnter(folder: string, account: Account): boolean {
  return spawnSync('test', ['-x', folder], { ...account, cwd: '/', stdio: 'ignore' }).status === 0;
}
