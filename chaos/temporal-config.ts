import { freePort } from '../src/dev/free-port.ts';

/** Names of the server's databases: what runs are, and what lists show of them. */
export const DATABASES = { default: 'temporal', visibility: 'temporal_visibility' } as const;

/** For ever; a rig needs few. */
const HISTORY_SHARDS = 16;
const SERVICES = ['frontend', 'history', 'matching', 'worker'] as const;

/** Where each of the server's services listens. */
export type TemporalPorts = Readonly<
  Record<(typeof SERVICES)[number], { readonly grpcPort: number; readonly membershipPort: number }>
>;

/** Free ports for all of them. */
export async function freePorts(): Promise<TemporalPorts> {
  const entries = SERVICES.map(async (service) => {
    return [service, { grpcPort: await freePort(), membershipPort: await freePort() }] as const;
  });
  return Object.fromEntries(await Promise.all(entries)) as TemporalPorts;
}

/** New search attributes are known at once, as they are to the dev server. */
export const DYNAMIC_CONFIGURATION = { 'system.forceSearchAttributesCacheRefreshOnRead': [{ value: true }] };

/**
 * What the server is started with, as its `config/development-postgres12.yaml` has it.
 *
 * @param postgres of its superuser
 * @param dynamicFile that holds the {@link DYNAMIC_CONFIGURATION}
 */
export function configuration(postgres: URL, ports: TemporalPorts, dynamicFile: string): object {
  const store = (databaseName: string, maxConns: number) => ({
    sql: {
      pluginName: 'postgres12',
      databaseName,
      connectAddr: postgres.host,
      connectProtocol: 'tcp',
      user: postgres.username,
      password: decodeURIComponent(postgres.password),
      maxConns,
      maxIdleConns: maxConns,
      maxConnLifetime: '1h',
    },
  });
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      defaultStore: 'default',
      visibilityStore: 'visibility',
      numHistoryShards: HISTORY_SHARDS,
      datastores: { default: store(DATABASES.default, 40), visibility: store(DATABASES.visibility, 10) },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: Object.fromEntries(
      Object.entries(ports).map(([service, own]) => [service, { rpc: { ...own, bindOnLocalHost: true } }]),
    ),
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: 'active',
      currentClusterName: 'active',
      clusterInformation: {
        active: {
          enabled: true,
          initialFailoverVersion: 1,
          rpcName: 'frontend',
          rpcAddress: `127.0.0.1:${ports.frontend.grpcPort}`,
        },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    dynamicConfigClient: { filepath: dynamicFile, pollInterval: '60s' },
  };
}
