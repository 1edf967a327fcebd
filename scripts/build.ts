/* `npm run build`: compiles src/ to dist/, with the migrations, the bundled workflow code that production loads, and the SBOM. */
import { execFileSync } from 'node:child_process';
import { cp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';
import { writeSbom } from './sbom.ts';

const root = dirname(import.meta.dirname);
const dist = join(root, 'dist');

await rm(dist, { recursive: true, force: true });
const compiler = join(dirname(fileURLToPath(import.meta.resolve('typescript/package.json'))), 'bin', 'tsc');
try {
  execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
} catch {
  process.exit(1);
}
const migrations = join('postgres', 'migrations');
await cp(join(root, 'src', migrations), join(dist, migrations), { recursive: true });
const workflows = join(dist, 'workflows');
const bundle = async (name: string, more: { failureConverterPath?: string }): Promise<number> => {
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(workflows, 'index.js'),
    payloadConverterPath: join(workflows, 'payload-converter.js'),
    logger: new DefaultLogger('WARN'),
    ...more,
  });
  await writeFile(join(dist, name), code);
  return code.length;
};
const size = await bundle('workflow-bundle.js', {});
// For workers with TEMPORAL_CODEC_KEYS.
await bundle('workflow-bundle-encrypted.js', { failureConverterPath: join(workflows, 'failure-converter.js') });
const packages = writeSbom();
console.log(`Built dist/ (workflow bundle: ${(size / 1e6).toFixed(2)} MB; sbom.cdx.json: ${packages} packages)`);
