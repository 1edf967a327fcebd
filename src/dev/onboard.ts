import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isJsonObject, type JsonObject, type JsonValue } from '../domain/json.ts';
import { apiOf } from './api.ts';
import { runOnboarding } from './main-job.ts';
import { startProgress } from './progress.ts';
import { giveWord } from './simulated-partner.ts';
import { readSandbox, SANDBOX_FILE, type Sandbox } from './sandbox.ts';

const USAGE = 'Usage: npm run onboard -- samples/kyc-approved.json --to <application id> [--keep-external-id]';

try {
  const { file, to, keepExternalId } = readArguments();
  process.exitCode = (await onboard(file, to, keepExternalId)) ? 0 : 1;
} catch (error) {
  const stopped = (error as Error).message === 'fetch failed';
  console.error(
    stopped ? 'The sandbox does not answer: run npm start first, and leave it running.' : (error as Error).message,
  );
  process.exitCode = 1;
}

/** Takes a record in at the sandbox's issuer, hands it to an application, and shows how that ends. */
async function onboard(file: string, to: string, keepExternalId: boolean): Promise<boolean> {
  const sandbox = runningSandbox();
  const say = startProgress();
  const issuer = sandbox.applications.find(({ role }) => role === 'issuer');
  if (issuer === undefined) throw new Error(`${SANDBOX_FILE} names no issuer: begin again with npm start -- --fresh`);
  const record = readRecord(file);
  // The same external id twice is one session, and one session is imported once: a copy lets a sample run again.
  if (!keepExternalId && typeof record['external_id'] === 'string') {
    record['external_id'] = `${record['external_id']}-${randomBytes(3).toString('hex')}`;
  }
  const api = apiOf(sandbox.api_url, issuer.api_key);
  const session = await api('POST', '/v1/sessions/', record);
  say(`Taken in as ${String(session['session_id'])} (external_id ${String(session['external_id'])})`);
  const order = { session_id: String(session['session_id']), for_application_id: to };
  const partner = sandbox.applications.find(({ application_id }) => application_id === to);
  const onWaiting = async (tokenId: string) => {
    if (partner === undefined) say('  (waiting: the partner is not of this sandbox, so its word is its own)');
    else await giveWord(apiOf(sandbox.api_url, partner.api_key), tokenId, say);
  };
  const onboarding = await runOnboarding(api, order, sandbox.temporal_ui_url, say, onWaiting);
  say(
    `Ended: ${onboarding.status}${onboarding.imported_session_id ? `, session ${onboarding.imported_session_id}` : ''}`,
  );
  if (onboarding.temporal_url !== null) say(onboarding.temporal_url);
  return onboarding.status === 'imported';
}

function runningSandbox(): Sandbox {
  const sandbox = readSandbox();
  if (sandbox === null) throw new Error(`There is no ${SANDBOX_FILE}: run npm start first, and leave it running.`);
  return sandbox;
}

function readRecord(file: string): JsonObject {
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as JsonValue;
    if (!isJsonObject(record)) throw new Error('it is no object');
    return record;
  } catch (error) {
    throw new Error(`${file} cannot be read as JSON: ${(error as Error).message}`, { cause: error });
  }
}

function readArguments(): { file: string; to: string; keepExternalId: boolean } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { to: { type: 'string' }, 'keep-external-id': { type: 'boolean' } },
  });
  const [file] = positionals;
  if (file === undefined || values.to === undefined) throw new Error(USAGE);
  return { file, to: values.to, keepExternalId: values['keep-external-id'] === true };
}
