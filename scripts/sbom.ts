/* `npm run sbom` and `npm run build`: writes dist/sbom.cdx.json, the CycloneDX list of what runs in production. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { nameAt, type Lock } from './dependency-rules.ts';
import { runNpm } from './run-npm.ts';

const root = dirname(import.meta.dirname);

/** What of CycloneDX 1.5 is looked at here. */
interface Sbom {
  serialNumber: string;
  metadata: { timestamp?: string; tools?: unknown; component: { name: string; 'bom-ref': string } };
  components: { 'bom-ref': string; name: string; version: string }[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

/** The list as text: the same for the same lock file, whoever makes it. */
export function productionSbom(): string {
  // npm's own --omit=dev loses what development needs too, so that everything is asked for and the lock file decides.
  const { status, stdout, stderr } = runNpm([
    'sbom',
    '--sbom-format=cyclonedx',
    '--package-lock-only',
    '--loglevel=error',
  ]);
  if (status !== 0) throw new Error(`npm sbom failed:\n${stderr}`);
  const sbom = JSON.parse(stdout) as Sbom;
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
  const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name: string };
  const production = new Set(
    Object.entries(lock.packages).flatMap(([path, locked]) =>
      path === '' || locked.dev === true ? [] : [`${nameAt(path, locked)}@${locked.version}`],
    ),
  );
  const isKept = (ref: string) => production.has(ref) || ref === sbom.metadata.component['bom-ref'];
  sbom.components = sbom.components.filter((component) => production.has(`${component.name}@${component.version}`));
  sbom.components.sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1));
  sbom.dependencies = sbom.dependencies
    .filter(({ ref }) => isKept(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter(isKept).sort() }))
    .sort((a, b) => (a.ref < b.ref ? -1 : 1));
  // npm takes the folder's name, the time, and its own version.
  sbom.metadata.component.name = name;
  delete sbom.metadata.timestamp;
  delete sbom.metadata.tools;
  const hash = createHash('sha256').update(JSON.stringify(sbom.components)).digest('hex');
  const uuid = `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
  sbom.serialNumber = `urn:uuid:${uuid}`;
  return `${JSON.stringify(sbom, null, 2)}\n`;
}

/** Writes it into `dist/`; returns how many packages it names. */
export function writeSbom(): number {
  const text = productionSbom();
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(join(root, 'dist', 'sbom.cdx.json'), text);
  return (JSON.parse(text) as Sbom).components.length;
}

if (import.meta.main) console.log(`dist/sbom.cdx.json names ${writeSbom()} packages`);
