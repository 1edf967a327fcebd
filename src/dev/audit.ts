import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { asksDatabase, runAudit } from '../audit/command-line.ts';
import { databaseAnswers } from './database-answers.ts';
import { startEmbeddedPostgres } from './embedded-database.ts';
import { anchorsFolder, readJson, readSandbox } from './sandbox.ts';
import type { Secrets } from './stack.ts';

/* `npm run audit` in a checkout: of the database that is named, else of what `npm start` left in its folder. */

if (existsSync('.env')) process.loadEnvFile('.env');
const FOLDER = resolve(process.env['HANDOFF_FOLDER'] ?? '.handoff');
const args = process.argv.slice(2);
const output = {
  print: (text: string) => process.stdout.write(`${text}\n`),
  complain: (text: string) => process.stderr.write(`${text}\n`),
};

const state = readJson(join(FOLDER, 'state.json')) as { secrets?: Partial<Secrets> } | null;
const named = (process.env['DATABASE_URL'] ?? '') !== '';
if (!named && state === null && asksDatabase(args)) {
  const where = `no data of npm start was found in ${FOLDER}`;
  output.complain(`handoff: ${where}: start it first, or set HANDOFF_FOLDER to its folder, or DATABASE_URL`);
  process.exitCode = 2;
} else if (named || state === null) process.exitCode = await runAudit(args, process.env, output);
else {
  const database = await openDatabase(asksDatabase(args));
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
  if (url !== undefined && (await databaseAnswers(url))) return { url, stop: () => Promise.resolve() };
  const dataFolder = join(FOLDER, 'postgres');
  if (!existsSync(dataFolder)) return null;
  const postgres = await startEmbeddedPostgres({ dataFolder });
  return { url: postgres.url('handoff'), stop: () => postgres.stop() };
}
