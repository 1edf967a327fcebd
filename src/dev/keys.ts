import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runKeys, type KeysExitCode } from '../keys.ts';
import { databaseAnswers } from './database-answers.ts';
import { readJson, readSandbox } from './sandbox.ts';
import type { Secrets } from './stack.ts';

/* `npm run keys` in a checkout: of the database that is named, else of the `npm start` that runs. */

if (existsSync('.env')) process.loadEnvFile('.env');
const FOLDER = resolve(process.env['HANDOFF_FOLDER'] ?? '.handoff');
const args = process.argv.slice(2);
const output = {
  print: (text: string) => process.stdout.write(`${text}\n`),
  complain: (text: string) => process.stderr.write(`${text}\n`),
};

const named = (process.env['DATABASE_URL'] ?? '') !== '';
process.exitCode = await (named ? runKeys(args, process.env, output) : runOnDemo());

async function runOnDemo(): Promise<KeysExitCode> {
  const state = readJson(join(FOLDER, 'state.json')) as { secrets?: Partial<Secrets> } | null;
  const url = readSandbox(join(FOLDER, 'sandbox.json'))?.database_url;
  if (state === null || url === undefined) {
    output.complain(
      `handoff: no data of npm start is in ${FOLDER}: set HANDOFF_FOLDER to where it is, or DATABASE_URL`,
    );
    return 1;
  }
  if (!(await databaseAnswers(url))) {
    output.complain(`handoff: the database of npm start in ${FOLDER} does not answer: start it, or set DATABASE_URL`);
    return 1;
  }
  const demo = { ...state.secrets, MEDIA_STORE: pathToFileURL(join(FOLDER, 'media')).href, DATABASE_URL: url };
  return runKeys(args, { ...demo, ...process.env, DATABASE_URL: url }, output);
}
