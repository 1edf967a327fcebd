import type { Socket } from 'node:net';
import { Pool, type PoolClient, type QueryResultRow } from 'pg';
import { isUuid } from '../domain/ids.ts';
import type { SignalName } from '../domain/temporal-names.ts';
import type { Operation } from './isolation/roles.ts';
import { roleName } from './isolation/statements.ts';
import { DatabaseBusy } from './outage.ts';
import { createStatementNames, PLAN_ANEW, planningOf } from './statement-names.ts';

/**
 * What a committed verb wants from Temporal or the network. Its outbox row was written in the verb's transaction,
 * so acting on it here is only the fast way: the relay does what is left.
 */
export interface Wish {
  readonly outboxId: string;
  readonly wish: 'start' | 'signal' | 'dispatch' | 'retry_delivery' | 'start_import' | 'fetch_media';
  readonly tokenId: string | null;
  /** The row that the wish is about: token, acknowledgement, session, event, delivery or import id (UUID). */
  readonly subjectId: string;
  readonly signal: SignalName | null;
}

/**
 * One open transaction. Statements go out at once (pipelined), in order: independent ones cost one round trip together.
 */
export interface Transaction {
  /**
   * Sends a statement and returns its rows.
   *
   * @param planned `anew` for one that is best planned for its values each time; otherwise the operation decides
   */
  query<Row extends QueryResultRow>(text: string, values?: readonly unknown[], planned?: 'anew'): Promise<Row[]>;
  /** Sends a statement whose rows nobody needs; the commit waits for it and fails with it. */
  send(text: string, values?: readonly unknown[]): void;
  /** Writes outbox rows, and hands them to `afterCommit` once the transaction is committed. */
  wish(...wishes: readonly Omit<Wish, 'outboxId'>[]): void;
}

/** The operations that read or write across tenants: each has a role with grants and policies of its own. */
export type Crossing = Exclude<Operation, 'tenant'>;

/** The only way to a connection. */
export interface Tenants {
  /** Runs `work` in one transaction of one application; retried when Postgres reports a deadlock. */
  withTenant<T>(applicationId: string, work: (tx: Transaction) => Promise<T>, crossing?: Crossing): Promise<T>;
  /** Runs `work` in one transaction of a named operation that belongs to no single application. */
  acrossTenants<T>(crossing: Crossing, work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Closes the pool after its running transactions. */
  close(): Promise<void>;
}

export interface TenantsOptions {
  readonly databaseUrl: string;
  /** Connections of this process; default 10. */
  readonly maxConnections?: number;
  /** Transactions that may wait for a connection, beyond which one fails at once; without end by default. */
  readonly maxWaiting?: number;
  /** Called with a transaction's wishes after its commit; must not throw. */
  readonly afterCommit?: (wishes: readonly Wish[]) => void;
  /** Called when an idle connection breaks; the pool replaces it. */
  readonly onConnectionError?: (error: Error) => void;
}

const DEADLOCK_OR_SERIALIZATION = new Set(['40P01', '40001']);
const MAX_TRIES = 3;

/** Opens the pool. No connection is made before the first transaction. */
export function createTenants(options: TenantsOptions): Tenants & { readonly pool: Pool } {
  const pool = new Pool({
    connectionString: options.databaseUrl,
    max: options.maxConnections ?? 10,
    pipeline: true,
    // Covers waiting for a free connection too: a burst on one token queues behind its lock.
    connectionTimeoutMillis: 10_000,
    // A lock that is held too long becomes a 503, not a hanging request.
    statement_timeout: 20_000,
    lock_timeout: 15_000,
    idle_in_transaction_session_timeout: 30_000,
    application_name: 'handoff',
  });
  pool.on('error', (error) => options.onConnectionError?.(error));
  const maxWaiting = options.maxWaiting ?? Infinity;
  const nameOf = createStatementNames();

  async function run<T>(tenant: string, operation: Operation, work: (tx: Transaction) => Promise<T>): Promise<T> {
    if (pool.waitingCount >= maxWaiting) throw new DatabaseBusy();
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { result, wishes } = await runOnce(
          pool,
          { beginText: begin(tenant, operation), nameOf: (text) => nameOf(operation, text) },
          work,
        );
        if (wishes.length > 0) options.afterCommit?.(wishes);
        return result;
      } catch (error) {
        const code = (error as { code?: unknown }).code;
        if (attempt >= MAX_TRIES || typeof code !== 'string' || !DEADLOCK_OR_SERIALIZATION.has(code)) throw error;
      }
    }
  }

  return {
    pool,
    withTenant: (applicationId, work, crossing) => {
      // The id goes into the text of a multi-statement query, which takes no parameters.
      if (!isUuid(applicationId)) throw new TypeError('withTenant needs an application id (UUID)');
      return run(applicationId, crossing ?? 'tenant', work);
    },
    acrossTenants: (crossing, work) => run('', crossing, work),
    close: () => pool.end(),
  };
}

/** Role, tenant and where tables are hold until the transaction ends: the connection itself has none of them. */
function begin(tenant: string, operation: Operation): string {
  const settings = {
    ...planningOf(operation),
    search_path: 'public, pg_temp',
    role: roleName(operation),
    'handoff.tenant': tenant,
  };
  // One statement for all, and no value of a caller's is among them but a UUID.
  return `begin; select ${Object.entries(settings)
    .map(([name, value]) => `set_config('${name}', '${value}', true)`)
    .join(', ')}`;
}

async function runOnce<T>(
  pool: Pool,
  { beginText, nameOf }: { readonly beginText: string; readonly nameOf: (text: string) => string | undefined },
  work: (tx: Transaction) => Promise<T>,
): Promise<{ result: T; wishes: Wish[] }> {
  const client: PoolClient = await pool.connect();
  let broken: Error | undefined;
  // Its statements fail with it; as an event that nobody hears, a lost connection would end the process.
  const onLost = (error: Error) => {
    broken = error;
  };
  client.on('error', onLost);
  const sent: Promise<unknown>[] = [];
  const wishes: Promise<Wish[]>[] = [];
  const gather = inOneWrite(client);
  const send = <R extends QueryResultRow>(text: string, values?: readonly unknown[], planned?: 'anew') => {
    gather();
    const name = values === undefined || planned === 'anew' ? undefined : nameOf(text);
    const answer = client.query<R>({
      text,
      ...(values !== undefined && { values: [...values] }),
      ...(name !== undefined && { name }),
    });
    // The commit reports the failure; here it must only not count as unhandled.
    answer.catch(() => {});
    sent.push(answer);
    return answer;
  };
  const tx: Transaction = {
    query: async <R extends QueryResultRow>(text: string, values?: readonly unknown[], planned?: 'anew') => {
      if (planned === 'anew') void send(PLAN_ANEW);
      return (await send<R>(text, values, planned)).rows;
    },
    send: (text, values) => void send(text, values),
    wish: (...wanted) => {
      const rows = send<{ outbox_id: string }>(
        `insert into outbox (wish, token_id, subject_id, signal)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[]) returning outbox_id`,
        [
          wanted.map(({ wish }) => wish),
          wanted.map(({ tokenId }) => tokenId),
          wanted.map(({ subjectId }) => subjectId),
          wanted.map(({ signal }) => signal),
        ],
      );
      const made = rows.then((answer) =>
        wanted.map((wish, index) => ({ ...wish, outboxId: answer.rows[index]?.outbox_id ?? '' })),
      );
      made.catch(() => {});
      wishes.push(made);
    },
  };
  try {
    void send(beginText);
    const result = await work(tx);
    const committed = client.query('commit');
    committed.catch(() => {});
    await Promise.all(sent);
    // Postgres answers the commit of a failed transaction with ROLLBACK and no error.
    if ((await committed).command !== 'COMMIT') throw new Error('transaction was rolled back');
    return { result, wishes: (await Promise.all(wishes)).flat() };
  } catch (error) {
    try {
      await client.query('rollback');
    } catch (rollbackError) {
      broken ??= rollbackError as Error;
    }
    throw await firstFailure(sent, error);
  } finally {
    client.off('error', onLost);
    client.release(broken);
  }
}

/**
 * Lets the connection write the statements of one turn together: each alone costs a system call here and one there.
 *
 * @returns to be called before each statement
 */
function inOneWrite(client: PoolClient): () => void {
  // Of `pg`, and not in its types; a socket, in TLS or not.
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  let gathering = false;
  return () => {
    if (gathering) return;
    gathering = true;
    stream.cork();
    process.nextTick(() => {
      gathering = false;
      stream.uncork();
    });
  };
}

/**
 * Postgres refuses every statement after a failed one for that alone (25P02), and knows none that was to be prepared after
 * it (26000): the failed one is the reason.
 */
async function firstFailure(sent: readonly Promise<unknown>[], error: unknown): Promise<unknown> {
  const { code } = error as { code?: unknown };
  if (code !== '25P02' && code !== '26000') return error;
  const outcomes = await Promise.allSettled(sent);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  return failed?.reason ?? error;
}
