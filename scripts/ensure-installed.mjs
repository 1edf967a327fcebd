/*
 * Runs before `npm start`, `npm test` and `npm run onboard`: installs the packages of package-lock.json when some are
 * missing or of another version, and otherwise does and says nothing. Plain JavaScript, because the Node that runs it may
 * be an older one than the project's own.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LOWEST_NODE = [20, 19];
const root = dirname(dirname(fileURLToPath(import.meta.url)));

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < LOWEST_NODE[0] || (major === LOWEST_NODE[0] && minor < LOWEST_NODE[1])) {
  fail(`Node ${process.versions.node} is too old: install Node ${LOWEST_NODE.join('.')} or newer`);
}
if (!isInstalled()) {
  alone(() => {
    if (!isInstalled()) install();
  });
}

/** Compares what should be there with what npm noted down, and looks that it is still there. */
function isInstalled() {
  // It is linked last, by an install script: a cut-off installation lacks it.
  if (!existsSync(join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node'))) return false;
  const wanted = packagesIn(join(root, 'package-lock.json'));
  const present = packagesIn(join(root, 'node_modules', '.package-lock.json'));
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true;
    if (present[path] === undefined) return optional === true;
    return present[path].version === version && existsSync(join(root, path, 'package.json'));
  });
}

/** @returns {Record<string, { version?: string, optional?: boolean }>} */
function packagesIn(lockFile) {
  return existsSync(lockFile) ? JSON.parse(readFileSync(lockFile, 'utf8')).packages : {};
}

/** Two installations at once would take each other's files away: the second waits for the first. */
function alone(/** @type {() => void} */ work) {
  const lock = join(root, '.installing');
  while (!take(lock)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  try {
    work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** @returns {boolean} whether the lock is this process's now; that of a process which has ended is taken away */
function take(/** @type {string} */ lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0;
    try {
      process.kill(holder, 0);
    } catch {
      rmSync(lock, { force: true });
    }
    return false;
  }
}

function install() {
  process.stdout.write('Installing the packages of package-lock.json (npm ci) ... ');
  const started = Date.now();
  runNpm(['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund']);
  // Whose scripts run is said in package.json, not by whoever publishes a package.
  const { allowScripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const allowed = Object.keys(allowScripts).filter(
    (name) => allowScripts[name] === true && existsSync(join(root, 'node_modules', name)),
  );
  runNpm(['rebuild', ...allowed]);
  process.stdout.write(`done in ${Math.round((Date.now() - started) / 1000)} s\n`);
}

/** Runs npm, and ends this process when it fails. */
function runNpm(/** @type {string[]} */ args) {
  // npm's own Node, not this process' one, which may lie in the node_modules that npm is about to replace.
  const npm = process.env.npm_execpath;
  const [command, prefix] =
    npm === undefined ? ['npm', []] : [process.env.npm_node_execpath ?? process.execPath, [npm]];
  const { status, signal, error, stderr } = spawnSync(command, [...prefix, ...args, '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    shell: npm === undefined && process.platform === 'win32',
  });
  if (status === 0) return;
  process.stdout.write('failed\n');
  const how = error?.message ?? (signal === null ? `ended with code ${status}` : `was ended by ${signal}`);
  fail(`The packages could not be installed: npm ${args[0]} ${how}. What npm said:\n${firstErrors(stderr ?? '')}`);
}

// npm follows its reason with its whole manual.
function firstErrors(/** @type {string} */ stderr) {
  const lines = stderr.split('\n').filter((line) => /^npm error +\S/.test(line));
  return lines.slice(0, 6).join('\n');
}

/** @returns {never} */
function fail(message) {
  console.error(message);
  process.exit(1);
}
