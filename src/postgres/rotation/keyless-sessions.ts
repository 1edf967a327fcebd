import type { Transaction } from '../tenants.ts';
import { MOST_NAMED, type Unreadable } from './unreadable.ts';

/** SQL, over the alias `s`: a session of before there was encryption, or one whose data key was lost. */
export const IS_KEYLESS = 'not exists (select 1 from session_key k where k.session_id = s.session_id)';

/** How many sessions have no data key. */
export async function countKeyless(tx: Transaction): Promise<number> {
  tx.send('set local statement_timeout = 0');
  const [row] = await tx.query<{ rows: number }>(`select count(*)::float8 as rows from session s where ${IS_KEYLESS}`);
  return row?.rows ?? 0;
}

/** Sessions without a data key: nothing opens their content. */
export async function keylessSessions(tx: Transaction): Promise<Unreadable> {
  const [rows, first] = await Promise.all([
    countKeyless(tx),
    tx.query<{ id: string }>(
      `select session_id as id from session s where ${IS_KEYLESS} order by session_id limit ${MOST_NAMED}`,
    ),
  ]);
  return { rows, first: first.map(({ id }) => ({ table: 'session', column: 'data key', id })) };
}
