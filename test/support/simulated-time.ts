import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, expect, inject } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../src/domain/temporal-names.ts';
import { DELIVERIES_CHANNEL } from '../../src/postgres/deliveries.ts';
import { takeWishes } from '../../src/postgres/outbox.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { carryOut } from '../../src/relay/carry-out.ts';
import type { HandoffStack } from './stack.ts';
import { connectTimeSkipping, startTestServer, type TestServer } from './test-server.ts';

const TYPES = { Keyword: 2, Datetime: 6 } as const;

/**
 * Temporal and Postgres on one clock that a test moves on. It stands still while a run or an activity is at work. For a
 * stack without the onboarding worker, whose relay looks once a second: hours may pass in that.
 */
export interface SimulatedTime {
  /** For `handoffStack`: a time-skipping server of the test file's own. It drops priorities. */
  useTemporal(): Promise<void>;
  /**
   * Lets this many milliseconds pass, with all that happens in them, and waits for the attempts under way. Postgres'
   * clock is at the end from the beginning on.
   */
  pass(stack: HandoffStack, ms: number): Promise<void>;
  /** The same for longer, in steps: from one moment to the next at which a webhook is due. */
  passWithRetries(stack: HandoffStack, ms: number): Promise<void>;
}

/** How long the circuit of a receiver that is down stays open, and a little. */
const CIRCUIT_MS = 61_000;

/** Call it before `handoffStack`, so that its server outlives the stack. */
export function simulatedTime(): SimulatedTime {
  let server: TestServer | undefined;
  let opened: TestWorkflowEnvironment | undefined;
  const env = () => {
    if (opened === undefined) throw new Error('The time is there once the stack is');
    return opened;
  };
  let tenants: Tenants | undefined;
  afterAll(async () => {
    await tenants?.close();
    await opened?.teardown();
    await server?.stop();
  });

  /** The relay's round. */
  async function relay({ database, handoff }: HandoffStack): Promise<void> {
    const at = (tenants ??= createTenants({ databaseUrl: database.url, maxConnections: 4 }));
    const wishes = await at.acrossTenants('relay', (tx) => takeWishes(tx, 100));
    await Promise.all(wishes.map((wish) => carryOut(wish, { tenants: at, client: handoff })));
  }

  const time: SimulatedTime = {
    useTemporal: async () => {
      server = await startTestServer(inject('testServerPath'));
      opened = await connectTimeSkipping(server.address);
      const types = Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => [name, TYPES[type]]);
      await opened.connection.operatorService.addSearchAttributes({
        namespace: 'default',
        searchAttributes: Object.fromEntries(types),
      });
      process.env['TEMPORAL_ADDRESS'] = server.address;
      process.env['TEMPORAL_NAMESPACE'] = 'default';
    },
    pass: async (stack, ms) => {
      const { pool } = stack.database;
      // Postgres first: a run whose timer fires finds its delivery due.
      const until = (await env().currentTimeMs()) + ms;
      await pool.query('update test_clock set shift = make_interval(secs => $1)', [(until - Date.now()) / 1_000]);
      await pool.query(`notify ${DELIVERIES_CHANNEL}`);
      await relay(stack);
      await env().sleep(ms);
      const underWay = `select 1 from delivery_attempt where state = 'started'`;
      await expect.poll(async () => (await pool.query(underWay)).rowCount, { timeout: 20_000, interval: 5 }).toBe(0);
    },
    passWithRetries: async (stack, ms) => {
      const end = (await env().currentTimeMs()) + ms;
      for (;;) {
        const left = end - (await env().currentTimeMs());
        if (left <= 0) return;
        const { rows } = await stack.database.pool.query<{ dueInMs: number | null }>(
          `select (extract(epoch from min(next_at) - handoff_now()) * 1000)::float8 as "dueInMs" from delivery
           where ended_at is null and owner in ('sender', 'run') and state <> 'held'`,
        );
        await time.pass(stack, Math.min(left, Math.max(CIRCUIT_MS, rows[0]?.dueInMs ?? left)));
      }
    },
  };
  return time;
}
