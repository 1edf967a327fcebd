import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  dependencyProblems,
  isAllowed,
  nameAt,
  type InstalledPackage,
  type Lock,
  type LockedPackage,
  type Manifest,
} from '../../scripts/dependency-rules.ts';
import { productionSbom } from '../../scripts/sbom.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const read = (path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as unknown;
const manifest = read('package.json') as Manifest & { readonly name: string };
const lock = read('package-lock.json') as Lock;
const NOTHING: ReadonlyMap<string, InstalledPackage> = new Map();

const ADDED = 'node_modules/added';
const good: LockedPackage = { version: '1.0.0', license: 'MIT', integrity: 'sha512-AAAA' };

/** Problems once the lock file has one more package, which may be installed. */
function problemsWith(locked: LockedPackage, installed?: InstalledPackage, allowed = manifest): string[] {
  const there = installed === undefined ? NOTHING : new Map([[ADDED, installed]]);
  return dependencyProblems(
    allowed,
    { ...lock, packages: { ...lock.packages, [ADDED]: { ...good, ...locked } } },
    there,
  );
}

describe('the check of dependencies', () => {
  it('finds nothing in what is depended on now', () => {
    expect(dependencyProblems(manifest, lock, NOTHING)).toEqual([]);
    expect(problemsWith({})).toEqual([]);
  });

  it.each<[string, LockedPackage, InstalledPackage | undefined, string]>([
    ['a new install script', { hasInstallScript: true }, undefined, 'added runs a script when it is installed'],
    [
      'one that the lock file does not tell of',
      {},
      { license: 'MIT', scripts: ['postinstall'] },
      '(postinstall): read it',
    ],
    ['a new licence', { license: 'AGPL-3.0-only' }, undefined, 'the licence AGPL-3.0-only'],
    ['no licence', {}, { license: undefined, scripts: [] }, 'the licence (none stated)'],
    ['another licence than the lock file says', {}, { license: 'SSPL-1.0', scripts: [] }, 'the licence SSPL-1.0'],
    ['no checksum', { integrity: 'sha1-AAAA' }, undefined, 'no SHA-512 checksum'],
    ['a repository', { resolved: 'git+ssh://git@example.com/a/b.git#abc' }, undefined, 'not from the registry'],
    ['a file on the web', { resolved: 'http://example.com/a.tgz' }, undefined, 'not from the registry'],
    ['a link', { link: true }, undefined, 'a link to a folder'],
  ])('fails on %s', (_what, locked, installed, line) => {
    expect(problemsWith(locked, installed)).toEqual([expect.stringContaining(line)]);
  });

  it('fails on a script that is known and not allowed, and on one that is allowed and not known', () => {
    const { node: _node, ...others } = manifest.allowScripts ?? {};
    expect(problemsWith({}, undefined, { ...manifest, allowScripts: others })).toEqual([
      expect.stringContaining('node: allowScripts of package.json has to say true'),
    ]);
    expect(
      problemsWith({}, undefined, { ...manifest, allowScripts: { ...manifest.allowScripts, added: true } }),
    ).toEqual([expect.stringContaining('added is in allowScripts')]);
  });

  it('fails on a licence that only development may have', () => {
    const { argparse, ...rest } = Object.fromEntries(
      Object.entries(lock.packages).map(([path, locked]) => [
        path.replace('node_modules/argparse', 'argparse'),
        locked,
      ]),
    );
    const { dev: _dev, ...production } = argparse ?? {};
    const packages = { ...rest, 'node_modules/argparse': production };
    expect(dependencyProblems(manifest, { ...lock, packages }, NOTHING)).toEqual([
      expect.stringContaining('argparse (Python-2.0) is allowed in development only'),
    ]);
  });

  it('fails on an exception that no package needs', () => {
    const packages = Object.fromEntries(Object.entries(lock.packages).filter(([path]) => !path.endsWith('/unionfs')));
    expect(dependencyProblems(manifest, { ...lock, packages }, NOTHING)).toEqual([
      'unionfs is an exception for no package',
    ]);
  });

  it.each([
    'git+https://example.com/a.git',
    'file:../a',
    'https://example.com/a.tgz',
    'user/repo',
    '*',
    'latest',
    '>=1',
  ])('fails on a dependency on %s', (spec) => {
    const changed = { ...manifest, dependencies: { ...manifest.dependencies, zod: spec } };
    expect(dependencyProblems(changed, lock, NOTHING)).toEqual([
      expect.stringContaining('zod: package.json asks for'),
      expect.stringContaining('differs from package.json'),
    ]);
  });

  it('reads SPDX expressions', () => {
    for (const good of ['MIT', '(MIT OR GPL-3.0)', 'Apache-2.0 AND MIT', '(MIT AND (GPL-2.0 OR ISC))']) {
      expect(isAllowed(good)).toBe(true);
    }
    for (const bad of [
      'GPL-3.0',
      'MIT AND GPL-3.0',
      '(MIT AND (GPL-2.0 OR AGPL-3.0))',
      'UNLICENSED',
      'SEE LICENSE IN x',
      '',
    ]) {
      expect(isAllowed(bad)).toBe(false);
    }
  });
});

describe('the SBOM', () => {
  const text = productionSbom();
  const sbom = JSON.parse(text) as {
    bomFormat: string;
    metadata: { component: { name: string } };
    components: { name: string; version: string; purl: string; hashes: { alg: string }[]; 'bom-ref': string }[];
    dependencies: { ref: string; dependsOn: string[] }[];
  };
  const named = new Set(sbom.components.map(({ name, version }) => `${name}@${version}`));
  const locked = (isDev: boolean) =>
    Object.entries(lock.packages)
      .filter(([path, one]) => path !== '' && (one.dev === true) === isDev)
      .map(([path, one]) => `${nameAt(path, one)}@${one.version}`);

  it('names every package of production with its checksum, and none of development alone', () => {
    expect(sbom).toMatchObject({ bomFormat: 'CycloneDX', metadata: { component: { name: manifest.name } } });
    const production = new Set(locked(false));
    expect([...production].filter((one) => !named.has(one))).toEqual([]);
    expect(locked(true).filter((one) => named.has(one) && !production.has(one))).toEqual([]);
    for (const name of Object.keys(manifest.dependencies ?? {})) expect([...named].join(' ')).toContain(`${name}@`);
    for (const { hashes } of sbom.components) expect(hashes[0]?.alg).toBe('SHA-512');
    const refs = new Set([...sbom.components.map((one) => one['bom-ref']), `${manifest.name}@0.1.0`]);
    expect(
      sbom.dependencies.flatMap(({ ref, dependsOn }) => [ref, ...dependsOn]).filter((ref) => !refs.has(ref)),
    ).toEqual([]);
  });

  it('is the same each time, and names no place of the machine that made it', () => {
    expect(productionSbom()).toBe(text);
    expect(text).not.toContain(ROOT);
  });
});

describe('installing', () => {
  it('runs no scripts but those that package.json allows', () => {
    const text = (path: string) => readFileSync(join(ROOT, path), 'utf8');
    for (const path of ['Dockerfile', 'scripts/ensure-installed.mjs', '.ci/run', 'README.md']) {
      if (!existsSync(join(ROOT, path))) continue;
      for (const line of text(path).split('\n')) {
        if (/npm (ci|install|prune)\b/.test(line) && !/^\s*(#|\*|\/\/)|write\(/.test(line)) {
          expect(line, path).toContain('--ignore-scripts');
        }
      }
    }
    expect(text('scripts/ensure-installed.mjs')).toContain(`['ci', '--include=dev', '--ignore-scripts'`);
  });
});
