import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { apiOf } from './api.ts';
import { runOnboarding } from './main-job.ts';
import { startProgress } from './progress.ts';
import {
  linkToRun,
  readJson,
  SANDBOX_FILE,
  writePrivateJson,
  type Sandbox,
  type SandboxOnboarding,
} from './sandbox.ts';
import { isSeeded, seedSandbox, type SeededSandbox } from './seed.ts';
import { simulatedBrands } from './simulated-partner.ts';
import { newSecrets, startStack, type Secrets, type Stack } from './stack.ts';

const FOLDER = resolve(process.env['HANDOFF_FOLDER'] ?? '.handoff');
const STATE_FILE = join(FOLDER, 'state.json');
const PID_FILE = join(FOLDER, 'running.pid');

/** What a start keeps for the next one. */
interface State {
  readonly secrets: Secrets;
  readonly seeded: SeededSandbox | null;
  readonly onboardings: readonly SandboxOnboarding[];
}

const { exit, fresh } = readFlags();
const say = startProgress();
refuseSecondStart();
if (fresh) beginAfresh();
mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
writeFileSync(PID_FILE, String(process.pid), { mode: 0o600 });

const interrupted = new Promise<void>((resolveInterrupted) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt(resolveInterrupted));
});
let stack: Stack | undefined;
try {
  const starting = run();
  const running = await Promise.race([starting, interrupted.then(() => 'interrupted' as const)]);
  if (running === 'interrupted') say('Interrupted; ending what was started');
  else if (!exit) {
    console.log('\nEverything stays up until Ctrl-C.');
    await interrupted;
    console.log('');
    say('Stopping');
  }
  // Whatever it waits for ends with the servers.
  starting.catch(() => {});
} catch (error) {
  console.error(`\nnpm start failed: ${(error as Error).message}\nLogs are in ${FOLDER}.`);
  process.exitCode = 1;
} finally {
  await stack?.stop();
  rmSync(PID_FILE, { force: true });
}
process.exit();

/** The first signal ends in order; a second one at once (the servers then end with this process). */
function interrupt(first: () => void): () => void {
  let signals = 0;
  return () => {
    signals += 1;
    if (signals > 1) process.exit(130);
    first();
  };
}

async function run(): Promise<void> {
  const fresh: State = { secrets: newSecrets(), seeded: null, onboardings: [] };
  const stored = readJson(STATE_FILE) as State | null;
  // A folder of an earlier release lacks the keys that came later.
  const state: State = { ...fresh, ...stored, secrets: { ...fresh.secrets, ...stored?.secrets } };
  await writePrivateJson(STATE_FILE, state);
  stack = await startStack(FOLDER, state.secrets, say);
  const { apiUrl, receiver, databaseUrl } = stack;

  const kept = state.seeded !== null && (await isSeeded(databaseUrl, state.seeded)) ? state.seeded : null;
  const seeded = kept ?? (await seedSandbox(databaseUrl, apiUrl, receiver, say));
  // What ran against another database is not of this one.
  await writePrivateJson(STATE_FILE, { ...state, seeded, onboardings: kept === null ? [] : state.onboardings });
  const brandOf = (role: 'issuer' | 'partner') => {
    const brand = seeded.applications.find((application) => application.role === role);
    if (brand === undefined) throw new Error(`${STATE_FILE} has no ${role}: begin again with npm start -- --fresh`);
    return brand;
  };
  const [issuer, partner] = [brandOf('issuer'), brandOf('partner')];
  const brands = simulatedBrands(apiUrl, partner, say);
  for (const brand of [issuer, partner]) {
    const destination = seeded.destinations.find(({ application_id }) => application_id === brand.application_id);
    if (destination === undefined) continue;
    receiver.receive(brand.role, destination.secret_shared_key, brands[brand.role]);
    if (kept !== null) {
      // The receiver's port may be another one than last time.
      const url = receiver.urlOf(brand.role);
      await apiOf(apiUrl, brand.api_key)('PATCH', `/v3/webhook/destinations/${destination.uuid}/`, { url });
    }
  }

  const onboardings = kept === null ? [] : [...state.onboardings];
  if (onboardings.length === 0) {
    for (const session of seeded.sessions.slice(-2)) {
      const order = { session_id: session.session_id, for_application_id: partner.application_id };
      onboardings.push(await runOnboarding(apiOf(apiUrl, issuer.api_key), order, stack.temporalUiUrl, say));
      const last = onboardings.at(-1);
      if (last?.status !== 'imported' || last.imported_session_id === null) {
        throw new Error(`the onboarding ${last?.token_id} ended as ${last?.status}, not as imported`);
      }
      await brands.heard.event('partner:status.updated', last.imported_session_id);
    }
  } else say('The sandbox is seeded and its main job done; data kept (npm start -- --fresh begins anew)');
  brands.acceptsShares = false;
  await writePrivateJson(STATE_FILE, { ...state, seeded, onboardings });
  const sandbox: Sandbox = {
    api_url: apiUrl,
    temporal_address: stack.temporalAddress,
    temporal_ui_url: stack.temporalUiUrl,
    database_url: databaseUrl,
    applications: seeded.applications,
    sessions: seeded.sessions,
    onboardings: onboardings.map((onboarding) => ({
      ...onboarding,
      temporal_url: linkToRun(stack?.temporalUiUrl ?? null, onboarding.token_id),
    })),
  };
  await writePrivateJson(SANDBOX_FILE, sandbox);
  await showResult(sandbox);
}

async function showResult(sandbox: Sandbox): Promise<void> {
  const partner = sandbox.applications.find(({ role }) => role === 'partner');
  const api = apiOf(sandbox.api_url, partner?.api_key ?? '');
  console.log('');
  for (const onboarding of sandbox.onboardings) {
    const { imported_session_id: imported } = onboarding;
    const decision = imported === null ? null : await api('GET', `/v3/session/${imported}/decision/`);
    console.log(
      `${onboarding.session_kind.padEnd(8)} ${onboarding.status}: session ${imported}, status ${String(decision?.['status'])}`,
    );
    if (onboarding.temporal_url !== null) console.log(`         ${onboarding.temporal_url}`);
  }
  const key = (role: string) =>
    `"x-api-key: $(node -p "JSON.parse(fs.readFileSync('${SANDBOX_FILE}')).applications.find(a => a.role === '${role}').api_key")"`;
  console.log(`
Try next:
  curl ${sandbox.api_url}/v3/session/${sandbox.onboardings[0]?.imported_session_id}/decision/ -H ${key('partner')}
  curl ${sandbox.api_url}/v1/onboardings/ -H ${key('issuer')}
  curl -X POST ${sandbox.api_url}/v3/session/${sandbox.sessions[0]?.session_id}/share/ -H ${key('issuer')} -H 'content-type: application/json' -d '{"for_application_id":"${partner?.application_id}"}'`);
}

function readFlags(): { exit: boolean; fresh: boolean } {
  try {
    const { values } = parseArgs({ options: { exit: { type: 'boolean' }, fresh: { type: 'boolean' } } });
    return { exit: values.exit === true, fresh: values.fresh === true };
  } catch (error) {
    console.error(`${(error as Error).message}\nUsage: npm start -- [--exit] [--fresh]`);
    return process.exit(1);
  }
}

function refuseSecondStart(): void {
  const pid = Number(readJson(PID_FILE) ?? 0);
  if (pid === 0 || pid === process.pid) return;
  try {
    process.kill(pid, 0);
    // Its number may have gone to another program since.
    const command = `/proc/${pid}/cmdline`;
    if (existsSync(command) && !readFileSync(command, 'utf8').includes('start.ts')) return;
  } catch {
    return;
  }
  console.error(`npm start is running here already (process ${pid}): use it, or end it with Ctrl-C.`);
  process.exit(1);
}

function beginAfresh(): void {
  if ((process.env['DATABASE_URL'] ?? '') !== '') {
    console.error('--fresh does not empty the database in DATABASE_URL: drop and create it yourself.');
    process.exit(1);
  }
  // Postgres's data may lie elsewhere, behind a link, where its account can reach it.
  const data = join(FOLDER, 'postgres');
  if (existsSync(data)) rmSync(realpathSync(data), { recursive: true, force: true });
  rmSync(FOLDER, { recursive: true, force: true });
  say('Data of earlier starts removed');
}
