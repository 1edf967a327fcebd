import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '../src/dev/progress.ts';
import { createBrands } from './brands.ts';
import { startFaultProxy, type FaultProxy } from './fault-proxy.ts';
import { createFleet, fleetPorts, serverUrls } from './fleet.ts';
import { openLedger } from './ledger.ts';
import { startPartnerSimulator } from './partner-simulator.ts';
import { startPostgresServer } from './postgres-server.ts';
import { openEnding } from '../test/support/ending.ts';
import { buildForProduction } from '../test/support/production-build.ts';
import { createRandom } from './random.ts';
import type { Rig } from './rig.ts';
import { settingsFor } from './settings.ts';
import { startTemporalOnPostgres, type TemporalPrograms } from './temporal-on-postgres.ts';
import { startTemporalServer } from './temporal-server.ts';

/** What a rig is opened with. */
export interface RigOptions {
  readonly seed: number;
  readonly quick: boolean;
  readonly minutes: number | null;
  /** There already, and empty. */
  readonly folder: string;
  readonly say: Progress;
  /** The real server in the place of the dev server; null for the dev server. */
  readonly temporalPrograms: TemporalPrograms | null;
}

/** A rig, and what takes it away again: the last that was started first, whatever of it there is. */
export interface OpenRig {
  readonly rig: Promise<Rig>;
  /** Calling it again waits for the same end. */
  close(): Promise<void>;
}

/** Starts everything: Postgres, Temporal, the ways to them, our processes, the partner simulator, and the brands. */
export function openRig(options: RigOptions): OpenRig {
  const { onEnd, end } = openEnding(options.say);
  return { rig: startAll(options, onEnd), close: end };
}

async function startAll(options: RigOptions, onEnd: Rig['onEnd']): Promise<Rig> {
  const { folder, seed, say, temporalPrograms } = options;
  const random = createRandom(seed);
  // Postgres runs under another account when this runs as root.
  chmodSync(folder, 0o711);
  mkdirSync(join(folder, 'logs'));

  // Closed last: clients whose calls a sudden end cuts off still note them.
  const ledger = openLedger(join(folder, 'ledger'));
  onEnd(() => Promise.resolve(ledger.close()));

  say('Building our processes, starting Postgres and Temporal');
  const code = await buildForProduction(folder);
  const postgres = await startPostgresServer(folder);
  onEnd(() => postgres.stop());
  const temporal =
    temporalPrograms === null
      ? await startTemporalServer(folder, say)
      : await startTemporalOnPostgres(folder, temporalPrograms);
  onEnd(() => temporal.stop());
  const open = async (port: string) => {
    const proxy = await startFaultProxy(Number(port));
    onEnd(() => proxy.close());
    return proxy;
  };
  const proxies = {
    postgres: await open(new URL(postgres.url).port),
    temporal: await open(temporal.address.split(':')[1] ?? ''),
  };

  const partner = await startPartnerSimulator({ ledger, seed });
  onEnd(() => partner.close());

  const ports = await fleetPorts();
  const env = settingsFor({
    folder,
    databaseUrl: through(proxies.postgres, postgres.url),
    temporalAddress: proxies.temporal.address,
    publicUrl: `http://127.0.0.1:${ports.server[0]}`,
  });
  const fleet = createFleet({ logs: join(folder, 'logs'), code, ports, env });
  onEnd(() => fleet.stop());
  say(`Starting ${fleet.members.length} processes of ours`);
  await fleet.heal();

  const brands = await createBrands({
    databaseUrl: postgres.url,
    apiUrl: serverUrls(fleet)[0] ?? '',
    webhookUrl: (applicationId) => partner.urlFor(applicationId),
    random,
  });
  partner.act(brands, () => serverUrls(fleet));
  say(`${brands.length} brands are connected`);
  return { ...options, random, onEnd, env, postgres, temporal, proxies, fleet, ledger, partner, brands };
}

/** The database's URL by way of the proxy. */
function through(proxy: FaultProxy, url: string): string {
  const way = new URL(url);
  way.host = proxy.address;
  return way.href;
}
