import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runKeys } from '../keys.ts';
import { readJson, readSandbox } from './sandbox.ts';
import type { Secrets } from './stack.ts';

/* `npm run keys` in a checkout: of the database that is named, else of the `npm start` that runs. */

const FOLDER = resolve(process.env['HANDOFF_FOLDER'] ?? '.handoff');
const state = readJson(join(FOLDER, 'state.json')) as { secrets?: Partial<Secrets> } | null;
const url = readSandbox(join(FOLDER, 'sandbox.json'))?.database_url;
const named = (process.env['DATABASE_URL'] ?? '') !== '';
const demo = {
  ...state?.secrets,
  MEDIA_STORE: pathToFileURL(join(FOLDER, 'media')).href,
  ...(url !== undefined && { DATABASE_URL: url }),
};
process.exitCode = await runKeys(process.argv.slice(2), named ? process.env : { ...demo, ...process.env }, {
  print: (text) => process.stdout.write(`${text}\n`),
  complain: (text) => process.stderr.write(`${text}\n`),
});
