import { execFile } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MIGRATIONS = join('postgres', 'migrations');

/** Name of the folder, below a run's own, that holds nothing but our code. */
export const BUILD_FOLDER = 'build';

/**
 * Compiles our code once for a run, with its workflow bundle, as `npm run build` does: processes start in a second, as
 * in production, and what is changed in the sources meanwhile reaches none of them. Types are not checked.
 *
 * @param folder of the run
 * @returns the folder of `server.js` and `worker.js`
 */
export async function buildForProduction(folder: string): Promise<string> {
  const build = join(folder, BUILD_FOLDER);
  const dist = join(build, 'dist');
  mkdirSync(build, { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(build, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(build, 'node_modules'), 'junction');

  const compiler = join(dirname(fileURLToPath(import.meta.resolve('typescript/package.json'))), 'bin', 'tsc');
  const options = ['-p', join(ROOT, 'tsconfig.build.json'), '--noCheck', '--declaration', 'false', '--outDir', dist];
  await promisify(execFile)(process.execPath, [compiler, ...options]);
  cpSync(join(ROOT, 'src', MIGRATIONS), join(dist, MIGRATIONS), { recursive: true });
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(dist, 'workflows', 'index.js'),
    payloadConverterPath: join(dist, 'workflows', 'payload-converter.js'),
    logger: new DefaultLogger('WARN'),
  });
  writeFileSync(join(dist, 'workflow-bundle.js'), code);
  return dist;
}
