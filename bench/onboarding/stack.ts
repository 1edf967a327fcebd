import type { Client } from '@temporalio/client';
import { connectHandoffClient } from '../../src/client.ts';
import type { OwnProcess } from '../../test/support/worker-process.ts';
import { openCalls } from '../http-calls.ts';
import { inFlight, type Timing } from '../in-flight.ts';
import { environment, openDatabase, startServer, startWorker, type Lab, type LabDatabase } from '../lab.ts';
import { until, within } from '../until.ts';
import { makeIssuers, takeInToShare, type Acceptance, type Issuer, type ShareOrder } from './brands.ts';
import { startCounterparts, type Counterparts } from './counterparts.ts';

/** Onboardings that were run. */
export interface Onboarded extends Timing {
  readonly tokenIds: readonly string[];
}

/** Brands on a server, their backends, and what is measured of them. */
export interface OnboardingBrands {
  readonly counterparts: Counterparts;
  readonly issuers: readonly Issuer[];
  /** Takes sessions in, and orders each to be shared. */
  orders(acceptance: Acceptance, count: number): Promise<ShareOrder[]>;
  /**
   * Runs onboardings, each from the HTTP call that opens it until both sides were told of the import.
   *
   * @param onEnded called once for each that was
   */
  onboard(orders: readonly ShareOrder[], atATime: number, onEnded?: () => void): Promise<Onboarded>;
  /**
   * Waits until the runs of such onboardings have ended, which is outside of their time.
   *
   * @throws Error unless each is imported and told of in Postgres, and its run has succeeded
   */
  readonly settled: (onboarded: Onboarded) => Promise<void>;
  /** Waits until all that follows from commits is done: no wish is left, no delivery open, no event unsealed. */
  readonly atRest: () => Promise<void>;
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

/**
 * Starts it on a database of its own and on the lab's Temporal, until the part has ended.
 *
 * @param namespace of Temporal; two stacks in one would take each other's work
 */
export async function startOnboardingStack(lab: Lab, namespace = 'default'): Promise<OnboardingStack> {
  const [database, { address }] = await Promise.all([
    openDatabase(lab),
    lab.servers.temporal(),
    // Made meanwhile.
    lab.servers.program(),
  ]);
  const env = environment(lab, database, { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace });
  const [server, onboarding, webhooks] = await Promise.all([
    startServer(lab, env),
    startWorker(lab, 'onboarding', env),
    startWorker(lab, 'webhooks', env),
  ]);
  const temporal = temporalAt(lab, env);
  const ended = async (tokenIds: readonly string[]) => {
    const results = inFlight(tokenIds, RESULTS_AT_A_TIME, (tokenId) => temporal.workflow.result(tokenId));
    await within('the end of runs', results);
  };
  const brands = await meetBrands(lab, database, server.url, ended);
  return { ...brands, database, temporal, url: server.url, processes: { server, onboarding, webhooks }, env };
}

const RESULTS_AT_A_TIME = 20;

/**
 * Makes brands on a server.
 *
 * @param ended resolves when the runs of these tokens have ended, and rejects when one has failed
 */
export async function meetBrands(
  lab: Lab,
  database: LabDatabase,
  url: string,
  ended: (tokenIds: readonly string[]) => Promise<void>,
): Promise<OnboardingBrands> {
  const http = openCalls(lab, url, 64);
  const counterparts = await startCounterparts(http);
  lab.onEnd(() => counterparts.stop());
  const issuers = await makeIssuers(database, http, counterparts);
  return {
    counterparts,
    issuers,
    orders: (acceptance, count) => takeInToShare(http, issuers, acceptance, count),
    onboard: async (orders, atATime, onEnded) => {
      const { results: tokenIds, ...timing } = await inFlight(orders, atATime, async (order) => {
        const tokenId = await counterparts.onboard(order);
        onEnded?.();
        return tokenId;
      });
      return { ...timing, tokenIds };
    },
    settled: async ({ tokenIds }) => {
      await ended(tokenIds);
      const made = await importedAndTold(database, tokenIds);
      if (made !== tokenIds.length)
        throw new Error(`${made} of ${tokenIds.length} onboardings were imported and told of`);
    },
    atRest: () => until('rest after what was committed', () => rests(database)),
  };
}

/** The database's clock, as Postgres writes it. */
export async function databaseTime({ database }: Pick<OnboardingStack, 'database'>): Promise<string> {
  const { rows } = await database.pool.query<{ now: string }>('select clock_timestamp()::text as now');
  return rows[0]?.now ?? '';
}

async function rests({ pool }: LabDatabase): Promise<boolean> {
  // A token's delivery that nobody is at belongs to an onboarding that ended without it.
  const { rows } = await pool.query<{ rests: boolean }>(
    `select not exists (select 1 from outbox) and not exists (select 1 from audit_unsealed)
       and not exists (select 1 from delivery where ended_at is null
                       and (owner <> 'onboarding' or lease_until > handoff_now())) as rests`,
  );
  return rows[0]?.rests === true;
}

/** How many of some onboardings ended with an import, and have their notify step done. */
export async function importedAndTold({ pool }: LabDatabase, tokenIds: readonly string[]): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::int as count from onboarding o
     join onboarding_step s on s.token_id = o.token_id and s.step = 'notify' and s.finished_at is not null
     where o.status = 'imported' and o.token_id = any ($1::uuid[])`,
    [tokenIds],
  );
  return rows[0]?.count ?? 0;
}

/** A client in this process of the Temporal that such processes use. */
function temporalAt(lab: Lab, env: Readonly<Record<string, string>>): Client {
  const names = ['TEMPORAL_ADDRESS', 'TEMPORAL_NAMESPACE'];
  const before = names.map((name) => process.env[name]);
  const set = (values: readonly (string | undefined)[]) => {
    for (const [at, name] of names.entries()) {
      if (values[at] === undefined) delete process.env[name];
      else process.env[name] = values[at];
    }
  };
  // Temporal's own environment names the server, also to a client.
  set(names.map((name) => env[name]));
  const client = connectHandoffClient();
  set(before);
  lab.onEnd(() => client.close());
  return client.temporal;
}
