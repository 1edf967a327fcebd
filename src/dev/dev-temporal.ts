import { Connection } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../domain/temporal-names.ts';
import { type RunningChild, startChild } from './child-process.ts';
import { freePort } from './free-port.ts';

/** How to start a Temporal dev server. */
export interface DevTemporalOptions {
  /** Path of the Temporal CLI. */
  binary: string;
  /** Keeps runs over restarts; without it they end with the server. */
  dataFile?: string;
  /** Used as given; a free one without it. */
  port?: number;
  /** Used as given; a free one without it. */
  uiPort?: number;
  /** Without the Web UI. */
  headless?: boolean;
  logFile: string;
  /** Settings of the server by their names, e.g. `matching.enableFairness`. */
  dynamicConfig?: Readonly<Record<string, string>>;
}

/** A running Temporal dev server on 127.0.0.1. */
export interface DevTemporal extends RunningChild {
  /** `host:port` of the gRPC frontend. */
  address: string;
  /** Undefined for a headless one. */
  uiUrl: string | undefined;
}

/** Starts a dev server with the namespace `default` and our search attributes, and waits until it and its UI answer. */
export async function startDevTemporal(options: DevTemporalOptions): Promise<DevTemporal> {
  const port = options.port ?? (await freePort());
  const address = `127.0.0.1:${port}`;
  const uiPort = options.headless === true ? undefined : (options.uiPort ?? (await freePort()));
  const uiUrl = uiPort === undefined ? undefined : `http://127.0.0.1:${uiPort}`;
  const args = ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'warn'];
  args.push(...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)]));
  if (options.dataFile !== undefined) args.push('--db-filename', options.dataFile);
  for (const [name, type] of Object.entries(SEARCH_ATTRIBUTES)) args.push('--search-attribute', `${name}=${type}`);
  for (const [name, value] of Object.entries(options.dynamicConfig ?? {})) {
    args.push('--dynamic-config-value', `${name}=${value}`);
  }

  const child = await startChild({
    name: 'The Temporal dev server',
    command: options.binary,
    args,
    logFile: options.logFile,
    // Otherwise the server asks its vendor for news of newer versions.
    env: { ...process.env, TEMPORAL_VERSION_CHECK_DISABLED: '1' },
    ready: async () => (await answers(address)) && (uiUrl === undefined || (await fetch(uiUrl)).ok),
  });
  return { ...child, address, uiUrl };
}

async function answers(address: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: '1s' });
  try {
    await connection.workflowService.describeNamespace({ namespace: 'default' });
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
    return Object.keys(SEARCH_ATTRIBUTES).every((name) => name in customAttributes);
  } finally {
    await connection.close();
  }
}
