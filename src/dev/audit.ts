import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client } from 'pg';
import { runAudit } from '../audit/command-line.ts';
import { startEmbeddedPostgres } from './embedded-database.ts';
import { anchorsFolder, readJson, readSandbox } from './sandbox.ts';
import type { Secrets } from './stack.ts';

/* `npm run audit` in a checkout: of the database that is named, else of what `npm start` left in its folder. */

const FOLDER = resolve(process.env['HANDOFF_FOLDER'] ?? '.handoff');
const args = process.argv.slice(2);
const output = {
  print: (text: string) => process.stdout.write(`${text}\n`),
  complain: (text: string) => process.stderr.write(`${text}\n`),
};

const state = readJson(join(FOLDER, 'state.json')) as { secrets?: Partial<Secrets> } | null;
const named = (process.env['DATABASE_URL'] ?? '') !== '';
if (named || state === null) process.exitCode = await runAudit(args, process.env, output);
else {
  const database = await openDatabase(args.includes('verify') && !args.some((arg) => arg.endsWith('.ndjson')));
  try {
    const env = { AUDIT_ANCHORS: pathToFileURL(anchorsFolder(FOLDER)).href, ...state.secrets, ...process.env };
    process.exitCode = await runAudit(args, { ...env, ...(database && { DATABASE_URL: database.url }) }, output);
  } finally {
    await database?.stop();
  }
}

/** The database of the demo: the one that runs, else its data, served for as long as this takes. */
async function openDatabase(needed: boolean): Promise<{ url: string; stop: () => Promise<void> } | null> {
  if (!needed) return null;
  const url = readSandbox(join(FOLDER, 'sandbox.json'))?.database_url;
  if (url !== undefined && (await answers(url))) return { url, stop: () => Promise.resolve() };
  const dataFolder = join(FOLDER, 'postgres');
  if (!existsSync(dataFolder)) return null;
  const postgres = await startEmbeddedPostgres({ dataFolder });
  return { url: postgres.url('handoff'), stop: () => postgres.stop() };
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
