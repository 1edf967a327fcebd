import { Client as TemporalClient, Connection } from '@temporalio/client';
import { Client, type QueryResultRow } from 'pg';
import type { Brand } from './brands.ts';
import type { Rig } from './rig.ts';

/** What an invariant found. */
export interface Finding {
  readonly looked: string;
  readonly breaks: readonly string[];
}

/** Breaks that a finding tells; what comes after them adds nothing. */
const MOST_BREAKS = 20;

/** A finding with its first breaks, and with how many there are. */
export function finding(looked: string, breaks: readonly string[]): Finding {
  if (breaks.length <= MOST_BREAKS) return { looked, breaks };
  const more = `and ${breaks.length - MOST_BREAKS + 1} more`;
  return { looked, breaks: [...breaks.slice(0, MOST_BREAKS - 1), more] };
}

/** Lets `work` ask the run's database, past every proxy and every role. */
export async function withDatabase<T>(
  { postgres }: Pick<Rig, 'postgres'>,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({ connectionString: postgres.url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Rows of the run's database. */
export async function readRows<Row extends QueryResultRow>(
  rig: Pick<Rig, 'postgres'>,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  return withDatabase(rig, async (client) => (await client.query<Row>(text, [...values])).rows);
}

/** Lets `work` ask Temporal, past the proxy. The namespace is the processes' own. */
export async function withTemporal<T>(
  { temporal, env }: Pick<Rig, 'temporal' | 'env'>,
  work: (client: TemporalClient) => Promise<T>,
): Promise<T> {
  const connection = await Connection.connect({ address: temporal.address });
  try {
    return await work(new TemporalClient({ connection, namespace: env['TEMPORAL_NAMESPACE'] ?? 'default' }));
  } finally {
    await connection.close();
  }
}

/** The brand of an application, by its id. */
export function brandsById({ brands }: Pick<Rig, 'brands'>): ReadonlyMap<string, Brand> {
  return new Map(brands.map((brand) => [brand.id, brand]));
}

/** Items under each key, in their order. */
export function grouped<T>(items: readonly T[], keyOf: (item: T) => string | null): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    if (key === null) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
