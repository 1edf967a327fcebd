import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { readAuditConfig, type AuditConfig, type Environment } from '../config.ts';
import { withSecrets } from '../crypto/key-provider.ts';
import { createSealer } from '../crypto/payload-seal.ts';
import { PLATFORM_ID } from '../domain/ids.ts';
import { openAuditSnapshot } from '../postgres/audit-snapshot.ts';
import { createAnchorSigner, isPublicKey } from './anchors.ts';
import { describeDatabase, describeExport } from './describe.ts';
import { exportText } from './export-text.ts';
import { openAnchorStore } from './open-anchor-store.ts';
import { AnchorStoreUnavailable } from './ports.ts';
import { verifyDatabase } from './verify-database.ts';
import { verifyExport } from './verify-export.ts';

/** 0: nothing is wrong. 1: something is. 2: it could not be verified. */
export type AuditExitCode = 0 | 1 | 2;

/** Where a command writes: what it found, and what keeps it from finding out or how far it is. */
export interface AuditOutput {
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
}

export const AUDIT_USAGE = `Usage:
  npm run audit -- verify                   the database, with the anchors of AUDIT_ANCHORS
  npm run audit -- verify <export.ndjson>   an export, without the database
  npm run --silent audit -- export          one of the platform's own trail, as GET /v1/audit/export/ gives an application's
  npm run audit -- public-key               what an auditor checks anchors with; needs AUDIT_SIGNING_KEY

  --public-key <key>[,<key>]  with verify, instead of AUDIT_PUBLIC_KEY
  --without-anchors           with verify, proves less: a chain that was recomputed, or cut at its end, passes
  --application <uuid>        with export: of this one; "platform" is the platform
`;

/** It can't be verified. The message says why, and what to do. */
class Unverifiable extends Error {}

/** Rows between two words of how far it is. */
const PROGRESS_ROWS = 100_000;

/** Runs `npm run audit` with the arguments after `--`. */
export async function runAudit(args: readonly string[], env: Environment, output: AuditOutput): Promise<AuditExitCode> {
  try {
    const { command, file, publicKeys, withoutAnchors, applicationId } = readArguments(args);
    const config = await readConfig(env);
    if (command === 'public-key') {
      output.print(publicKeyOf(config));
      return 0;
    }
    if (command === 'export') return await exportHere(config, applicationId, output);
    const keys = withoutAnchors ? null : keysOf(config, publicKeys);
    return await (file === null ? verifyHere(config, keys, output) : verifyFile(file, keys, output));
  } catch (error) {
    output.complain(`handoff: ${whyNot(error)}`);
    return 2;
  }
}

/** Whether these arguments ask for something of the database. */
export function asksDatabase(args: readonly string[]): boolean {
  try {
    const { command, file } = readArguments(args);
    return command === 'export' || (command === 'verify' && file === null);
  } catch {
    return false;
  }
}

function readArguments(args: readonly string[]) {
  const options = {
    'public-key': { type: 'string' },
    'without-anchors': { type: 'boolean' },
    application: { type: 'string' },
  } as const;
  const read = () => {
    try {
      return parseArgs({ args: [...args], options, allowPositionals: true });
    } catch (error) {
      throw new Unverifiable(`${(error as Error).message}\n${AUDIT_USAGE}`);
    }
  };
  const { values, positionals } = read();
  const [command, file = null, ...more] = positionals;
  if (command === undefined) throw new Unverifiable(`name what to do\n${AUDIT_USAGE}`);
  if (!isCommand(command)) throw new Unverifiable(`there is no command "${command}"\n${AUDIT_USAGE}`);
  const [extra] = command === 'verify' ? more : positionals.slice(1);
  if (extra !== undefined) throw new Unverifiable(`${command} takes no "${extra}"\n${AUDIT_USAGE}`);
  const application = values.application ?? 'platform';
  if (values.application !== undefined && command !== 'export') {
    throw new Unverifiable(`${command} takes no --application\n${AUDIT_USAGE}`);
  }
  if (application !== 'platform' && !UUID.test(application)) {
    throw new Unverifiable(
      `--application must be the id of an application, or platform, and "${application}" is neither`,
    );
  }
  return {
    command,
    file,
    publicKeys: values['public-key'] ?? null,
    withoutAnchors: values['without-anchors'] === true,
    applicationId: application === 'platform' ? PLATFORM_ID : application.toLowerCase(),
  };
}

const COMMANDS = ['verify', 'export', 'public-key'] as const;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function isCommand(text: string): text is (typeof COMMANDS)[number] {
  return (COMMANDS as readonly string[]).includes(text);
}

async function readConfig(env: Environment): Promise<AuditConfig> {
  const given = await withSecrets(env);
  const config = 'problems' in given ? given : readAuditConfig(given.env);
  if ('problems' in config) throw new Unverifiable(config.problems.join('\nhandoff: '));
  return config;
}

function publicKeyOf({ signingKey }: AuditConfig): string {
  if (signingKey === null) throw new Unverifiable('AUDIT_SIGNING_KEY is missing: it is what the public key is of');
  return createAnchorSigner(signingKey).publicKey;
}

/** The keys that anchors may be signed with: those that are given, else the one of the environment's own signing key. */
function keysOf({ publicKeys, signingKey }: AuditConfig, given: string | null): readonly Uint8Array[] {
  const keys = given === null ? publicKeys : given.split(',').map((text) => Buffer.from(text.trim(), 'base64url'));
  if (!keys.every(isPublicKey)) {
    throw new Unverifiable(
      '--public-key must be a key as npm run audit -- public-key prints it, or several with commas',
    );
  }
  if (keys.length > 0) return keys;
  if (signingKey !== null) return [Buffer.from(createAnchorSigner(signingKey).publicKey, 'base64url')];
  throw new Unverifiable(
    'AUDIT_PUBLIC_KEY is missing: set it to what npm run audit -- public-key prints where AUDIT_SIGNING_KEY is, or go --without-anchors',
  );
}

async function verifyHere(
  config: AuditConfig,
  publicKeys: readonly Uint8Array[] | null,
  output: AuditOutput,
): Promise<AuditExitCode> {
  const { databaseUrl, anchors, anchorSeconds, contentEncryptionKeys: content } = config;
  if (databaseUrl === null) throw new Unverifiable(NO_DATABASE);
  if (anchors === null && publicKeys !== null) {
    throw new Unverifiable(
      'AUDIT_ANCHORS is missing: set it to what the onboarding worker has, or go --without-anchors',
    );
  }
  const sealer = content === null ? null : createSealer({ content, secrets: null });
  const store = anchors === null || publicKeys === null ? null : openAnchorStore(anchors);
  let rows = 0;
  try {
    const report = await verifyDatabase({
      open: () => openAuditSnapshot(databaseUrl, sealer),
      anchoring: store === null || publicKeys === null ? null : { store, publicKeys, anchorSeconds },
      onRow: () => {
        rows += 1;
        if (rows % PROGRESS_ROWS === 0) output.complain(`${rows} rows verified`);
      },
    });
    output.print(describeDatabase(report, { withAnchors: store !== null, withPayloads: sealer !== null }));
    return report.findings.length === 0 ? 0 : 1;
  } finally {
    await store?.close();
  }
}

const NO_DATABASE = 'DATABASE_URL is missing: set it to the Postgres that holds the trail';

/** Prints a trail as the route exports it: whatever is sealed, with the copies of its anchors. */
async function exportHere(
  { databaseUrl }: AuditConfig,
  applicationId: string,
  output: AuditOutput,
): Promise<AuditExitCode> {
  if (databaseUrl === null) throw new Unverifiable(NO_DATABASE);
  const snapshot = await openAuditSnapshot(databaseUrl, null);
  try {
    for await (const text of exportText((work) => snapshot.within(work), applicationId, {})) {
      if (text !== '') output.print(text.replace(/\n$/, ''));
    }
    return 0;
  } finally {
    await snapshot.close();
  }
}

async function verifyFile(
  file: string,
  publicKeys: readonly Uint8Array[] | null,
  output: AuditOutput,
): Promise<AuditExitCode> {
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Infinity });
  const report = await verifyExport(lines, publicKeys);
  output.print(describeExport(report, { withAnchors: publicKeys !== null }));
  return report.findings.length === 0 ? 0 : 1;
}

/** Our own sentences, or the kind of a library's error: messages of those may hold what belongs in no log. */
function whyNot(error: unknown): string {
  if (error instanceof Unverifiable) return error.message;
  if (error instanceof AnchorStoreUnavailable) return `the anchors in AUDIT_ANCHORS cannot be read (${error.message})`;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === 'open' || syscall === 'read') return `the export cannot be read (${code})`;
  if (code !== undefined && code in LOGIN_PROBLEMS) return `${LOGIN_PROBLEMS[code]} (${code})`;
  return `the database in DATABASE_URL cannot be read (${code ?? (error as Error).constructor.name})`;
}

const WRONG_LOGIN = 'the database refuses the login in DATABASE_URL, or its password';
/** What is wrong with the login, by Postgres's code. */
const LOGIN_PROBLEMS: Readonly<Record<string, string>> = {
  '28000': WRONG_LOGIN,
  '28P01': WRONG_LOGIN,
  '42501':
    'the login in DATABASE_URL may not read the trail of every application: use the one that migrates, or another member of handoff_verify',
};
