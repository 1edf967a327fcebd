/*
 * `npm run openapi:write`: writes `docs/openapi.json` anew from the routes. `npm run openapi:check` only says whether it
 * is as the routes are.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { currentOpenApi } from '../test/support/openapi-text.ts';

const path = join(import.meta.dirname, '..', 'docs', 'openapi.json');
const current = await currentOpenApi();
if (!process.argv.includes('--check')) {
  await writeFile(path, current);
  console.log('docs/openapi.json is written');
} else if ((await readFile(path, 'utf8').catch(() => '')) !== current) {
  console.error('docs/openapi.json is not as the routes are. If that change is meant: npm run openapi:write');
  process.exitCode = 1;
}
