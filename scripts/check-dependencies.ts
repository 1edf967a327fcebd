/*
 * `npm run deps:check`: holds every package of package-lock.json against `dependency-rules.ts`, and asks the registry for
 * known vulnerabilities. A registry that gives no answer is told loudly; AUDIT_REQUIRED=1 makes that a failure too.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runNpm } from './run-npm.ts';
import { dependencyProblems, type InstalledPackage, type Lock, type Manifest } from './dependency-rules.ts';

const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall'];
const root = dirname(import.meta.dirname);
const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8')) as unknown;

const manifest = read('package.json') as Manifest;
const lock = read('package-lock.json') as Lock;
const problems = dependencyProblems(manifest, lock, installedPackages());
const audit = auditProblems();
for (const problem of [...problems, ...audit.problems]) console.error(`- ${problem}`);
if (audit.unchecked !== null) console.error(`\nNOT CHECKED: known vulnerabilities. ${audit.unchecked}\n`);
const failed = problems.length + audit.problems.length > 0;
if (!failed) console.log(`${Object.keys(lock.packages).length - 1} packages: licences, checksums, install scripts ok`);
process.exit(failed || (audit.unchecked !== null && process.env['AUDIT_REQUIRED'] === '1') ? 1 : 0);

function installedPackages(): ReadonlyMap<string, InstalledPackage> {
  const there = Object.keys(lock.packages).filter(
    (path) => path !== '' && existsSync(join(root, path, 'package.json')),
  );
  return new Map(
    there.map((path) => {
      const { license, licenses, scripts } = read(join(path, 'package.json')) as {
        readonly license?: string | { readonly type?: string };
        readonly licenses?: readonly { readonly type?: string }[];
        readonly scripts?: Readonly<Record<string, string>>;
      };
      const own =
        typeof license === 'object' ? license.type : (license ?? licenses?.map(({ type }) => type).join(' OR '));
      const runs = INSTALL_SCRIPTS.filter((name) => scripts?.[name] !== undefined);
      // npm builds what has this file, without a script that says so.
      const isBuilt = runs.length === 0 && existsSync(join(root, path, 'binding.gyp'));
      return [path, { license: own, scripts: isBuilt ? ['node-gyp rebuild'] : runs }];
    }),
  );
}

/** Vulnerabilities that npm knows to be high or critical. */
function auditProblems(): { readonly problems: readonly string[]; readonly unchecked: string | null } {
  const { stdout, stderr } = runNpm(['audit', '--audit-level=high', '--json']);
  let report: {
    readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string; readonly range: string }>>;
  };
  try {
    report = JSON.parse(stdout) as typeof report;
  } catch {
    report = {};
  }
  if (report.vulnerabilities === undefined) {
    const said = /\b\d{3} [A-Z][\w ]+|ENOTFOUND|ECONN\w+|ETIMEDOUT/.exec(stdout + stderr)?.[0] ?? 'no report';
    return { problems: [], unchecked: `The registry's audit did not answer (${said}): run npm audit where it does.` };
  }
  const found = Object.entries(report.vulnerabilities).filter(([, { severity }]) => /^(high|critical)$/.test(severity));
  return {
    problems: found.map(([name, { severity, range }]) => `${name} ${range} is vulnerable (${severity}): npm audit`),
    unchecked: null,
  };
}
