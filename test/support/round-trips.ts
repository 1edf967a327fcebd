import type { Pool, PoolClient } from 'pg';
import type { Tenants } from '../../src/postgres/tenants.ts';

/** How many round trips a call makes on its connection: statements that go out in one turn of the event loop travel together. */
export async function roundTripsOf(tenants: Tenants, call: () => Promise<unknown>): Promise<number> {
  let count = 0;
  let counted = false;
  const wrap = (client: { query: (...args: never[]) => unknown }) => {
    const query = client.query.bind(client);
    client.query = (...args: never[]) => {
      if (!counted) {
        counted = true;
        count += 1;
        setImmediate(() => (counted = false));
      }
      return query(...args);
    };
    return () => (client.query = query);
  };
  const { pool } = tenants as unknown as { pool: Pool };
  const connect = pool.connect.bind(pool) as () => Promise<PoolClient>;
  let unwrap: () => unknown = () => undefined;
  pool.connect = (async () => {
    const client = await connect();
    unwrap = wrap(client);
    return client;
  }) as never;
  try {
    await call();
  } finally {
    unwrap();
    pool.connect = connect as never;
  }
  return count;
}
