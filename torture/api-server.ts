import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { startServerProcess } from '../test/support/server-process.ts';
import { openField, type Field } from './field.ts';
import type { Lab } from './lab.ts';

/** The real server as a process of its own, and a field with the applications that call it. */
export interface ApiAtWork {
  readonly field: Field;
  readonly port: number;
  /** Memory that its process holds, in MiB. */
  memory(): number;
  /** Connections that its process holds open, those to the database among them. */
  connections(): number;
  /** A call as customers make it. */
  get(apiKey: string, path?: string): Promise<Response>;
}

/** Starts the server for a part. @param settings beside those of `environment` */
export async function startApi(lab: Lab, settings: Readonly<Record<string, string>> = {}): Promise<ApiAtWork> {
  const field = await openField(lab, settings);
  const server = await startServerProcess({
    databaseUrl: field.env['DATABASE_URL'] ?? '',
    shareTokenKeys: field.env['SHARE_TOKEN_KEYS'] ?? '',
    env: field.env,
  });
  lab.onEnd(() => server.stop());
  return {
    field,
    port: Number(new URL(server.url).port),
    memory: () => {
      const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1];
      return Number(kib) / 1024;
    },
    connections: () => {
      const folder = `/proc/${server.pid}/fd`;
      return readdirSync(folder).filter((fd) => isSocket(join(folder, fd))).length;
    },
    get: (apiKey, path = '/v1/connections/') => fetch(`${server.url}${path}`, { headers: { 'x-api-key': apiKey } }),
  };
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('socket:');
  } catch {
    // Closed since.
    return false;
  }
}

/** How long calls took that were made a few at a time, in milliseconds, and how many were not 200. */
export interface Timing {
  readonly times: number[];
  readonly failed: number;
}

/** Makes calls for a while. @param atATime callers, each of which waits for its answer */
export async function timeCalls(call: () => Promise<Response>, forMs: number, atATime = 4): Promise<Timing> {
  const times: number[] = [];
  let failed = 0;
  const end = performance.now() + forMs;
  const caller = async () => {
    while (performance.now() < end) {
      const begun = performance.now();
      const ok = await call().then(
        async (answer) => {
          await answer.arrayBuffer();
          return answer.status === 200;
        },
        () => false,
      );
      if (ok) times.push(performance.now() - begun);
      else failed += 1;
    }
  };
  await Promise.all(Array.from({ length: atATime }, caller));
  return { times, failed };
}

/** The value that this share of them does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
