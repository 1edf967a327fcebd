import type { Client } from '@temporalio/client';
import { connectHandoffClient } from '../../src/client.ts';
import type { OwnProcess } from '../../test/support/worker-process.ts';
import { openCalls } from '../http-calls.ts';
import { inFlight, rateOf, type Rate } from '../in-flight.ts';
import { environment, openDatabase, startServer, startWorker, type Lab, type LabDatabase } from '../lab.ts';
import { makeIssuers, takeInToShare, type Acceptance, type ShareOrder } from './brands.ts';
import { startCounterparts, type Counterparts } from './counterparts.ts';

/** Brands on a server, their backends, and what is measured of them. */
export interface OnboardingBrands {
  readonly counterparts: Counterparts;
  /** Takes sessions in, and orders each to be shared. */
  orders(acceptance: Acceptance, count: number): Promise<ShareOrder[]>;
  /**
   * Runs onboardings, each from the HTTP call that opens it until both sides were told and `completed` resolved.
   *
   * @throws Error unless each is imported in Postgres
   */
  load(orders: readonly ShareOrder[], atATime: number): Promise<Rate>;
}

/** All that an onboarding goes through, as processes of their own: one server, and one worker of each kind. */
export interface OnboardingStack extends OnboardingBrands {
  readonly database: LabDatabase;
  readonly temporal: Client;
  /** Of the server. */
  readonly url: string;
  readonly processes: Readonly<Record<'server' | 'onboarding' | 'webhooks', OwnProcess>>;
  /** What another process of it would be started with. */
  readonly env: Readonly<Record<string, string>>;
}

/** Starts it on a database of its own and on the lab's Temporal, until the part has ended. */
export async function startOnboardingStack(lab: Lab): Promise<OnboardingStack> {
  const database = await openDatabase(lab);
  const { address } = await lab.servers.temporal();
  const env = environment(lab, database, { TEMPORAL_ADDRESS: address });
  const [server, onboarding, webhooks] = await Promise.all([
    startServer(lab, env),
    startWorker(lab, 'onboarding', env),
    startWorker(lab, 'webhooks', env),
  ]);
  const temporal = temporalAt(lab, address);
  const completed = (tokenId: string) => temporal.workflow.result(tokenId);
  const brands = await meetBrands(lab, database, server.url, completed);
  return { ...brands, database, temporal, url: server.url, processes: { server, onboarding, webhooks }, env };
}

/**
 * Makes brands on a server.
 *
 * @param completed resolves when the run of a token has ended
 */
export async function meetBrands(
  lab: Lab,
  database: LabDatabase,
  url: string,
  completed: (tokenId: string) => Promise<unknown>,
): Promise<OnboardingBrands> {
  const http = openCalls(lab, url, 64);
  const counterparts = await startCounterparts(http);
  lab.onEnd(() => counterparts.stop());
  const issuers = await makeIssuers(database, http, counterparts);
  return {
    counterparts,
    orders: (acceptance, count) => takeInToShare(http, issuers, acceptance, count),
    load: async (orders, atATime) => {
      const before = await importedAndTold(database);
      const timing = await inFlight(orders, atATime, async (order) => completed(await counterparts.onboard(order)));
      const made = (await importedAndTold(database)) - before;
      if (made !== orders.length) throw new Error(`${made} of ${orders.length} onboardings were imported and told of`);
      return rateOf(timing);
    },
  };
}

/** Onboardings that ended with an import, and whose notify step is done. */
export async function importedAndTold({ pool }: LabDatabase): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::int as count from onboarding o
     join onboarding_step s on s.token_id = o.token_id and s.step = 'notify' and s.finished_at is not null
     where o.status = 'imported'`,
  );
  return rows[0]?.count ?? 0;
}

/** A client of the lab's Temporal, in this process. */
function temporalAt(lab: Lab, address: string): Client {
  // Temporal's own environment names the server, also to a client.
  const before = process.env['TEMPORAL_ADDRESS'];
  process.env['TEMPORAL_ADDRESS'] = address;
  const client = connectHandoffClient();
  if (before === undefined) delete process.env['TEMPORAL_ADDRESS'];
  else process.env['TEMPORAL_ADDRESS'] = before;
  lab.onEnd(() => client.close());
  return client.temporal;
}
