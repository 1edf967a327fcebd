import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from './markdown.ts';

const NAME = 'handoff';

/**
 * Puts `handoff/webhooks` into a folder's `node_modules` as a receiver gets it: compiled, packed by npm and extracted, with
 * no dependency and no other file of ours beside it. It compiles with the types of the Web alone.
 *
 * @param folder an empty folder
 * @returns the folder that a receiver's own files belong in
 */
export function packReceiver(folder: string): string {
  const [source, project] = [join(folder, 'source'), join(folder, 'project')];
  const installed = join(project, 'node_modules', NAME);
  for (const path of [source, installed]) mkdirSync(path, { recursive: true });
  copyFileSync(join(PROJECT, 'package.json'), join(source, 'package.json'));
  compile(folder, {
    extends: join(PROJECT, 'tsconfig.build.json'),
    compilerOptions: {
      rootDir: join(PROJECT, 'src'),
      outDir: join(source, 'dist'),
      lib: ['ES2023', 'WebWorker'],
      types: [],
    },
    include: [join(PROJECT, 'src', 'receiver')],
    exclude: [],
  });
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], source);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
  run('tar', ['-xzf', join(folder, tarball), '-C', installed, '--strip-components=1'], folder);
  return project;
}

/** Compiles by a configuration of its own; throws what the compiler says. */
export function compile(folder: string, configuration: object): void {
  const path = join(folder, 'tsconfig.json');
  writeFileSync(path, JSON.stringify(configuration));
  run(process.execPath, [join(PROJECT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', path], folder);
}

function run(command: string, args: readonly string[], folder: string): void {
  try {
    execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} failed:\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  }
}
