import { Client, Connection } from '@temporalio/client';
import { connectHandoffClient, type HandoffClient } from '../../src/client.ts';
import { brandsOf, type Brands } from '../../test/support/brands.ts';
import { startScriptedPartner } from '../../test/support/scripted-partner.ts';
import { startServerProcess, startWorkerProcess, type OwnProcess } from '../../test/support/worker-process.ts';
import { environment, openDatabase, type Lab, type LabDatabase } from '../../torture/lab.ts';

/** A server of a lab, as a process of its own. */
export type LabServer = OwnProcess & { readonly url: string };

/** Our processes on a database of a lab's own, and the brands that call them. */
export interface LabStack {
  readonly database: LabDatabase;
  /** What a process of this stack is started with. */
  readonly env: Readonly<Record<string, string>>;
  readonly servers: readonly [LabServer, ...LabServer[]];
  /** They call the first server. */
  readonly brands: Brands;
}

/** Starts servers on a database of their own. Without a Temporal none of their runs is started. */
export async function openLabStack(
  lab: Lab,
  { servers: count, settings = {} }: { readonly servers: number; readonly settings?: Readonly<Record<string, string>> },
): Promise<LabStack> {
  const database = await openDatabase(lab);
  const env = environment(lab, database, { LOG_LEVEL: 'warn', ...settings });
  const first = await startLabServer(lab, env);
  const more: LabServer[] = [];
  while (more.length < count - 1) more.push(await startLabServer(lab, env));
  const receiver = await startScriptedPartner();
  lab.onEnd(() => receiver.stop());
  const brands = brandsOf({ databaseUrl: database.url, apiUrl: () => first.url, receiver });
  return { database, env, servers: [first, ...more], brands };
}

/** Starts a server, which ends with the lab if nobody ends it before. */
export async function startLabServer(lab: Lab, env: Readonly<Record<string, string>>): Promise<LabServer> {
  const server = await startServerProcess(env);
  lab.onEnd(() => server.stop());
  return server;
}

/** Starts both workers of a stack. */
export async function startLabWorkers(lab: Lab, env: Readonly<Record<string, string>>): Promise<void> {
  for (const role of ['onboarding', 'webhooks'] as const) {
    const worker = await startWorkerProcess(role, env);
    lab.onEnd(() => worker.stop());
  }
}

/** A client of one Temporal, whatever this process's environment names. */
export function clientOf(lab: Lab, address: string): HandoffClient {
  const connection = Connection.lazy({ address });
  lab.onEnd(() => connection.close());
  return connectHandoffClient({ client: new Client({ connection }) });
}
