import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTenants, type Tenants, type Transaction } from '../../src/postgres/tenants.ts';
import { testDatabase } from '../support/database.ts';

const database = testDatabase();
let tenants: Tenants;
beforeAll(async () => {
  tenants = createTenants({ databaseUrl: database.url });
  await database.pool.query(`create table pair (id int primary key, n int not null default 0);
    grant select, insert, update on pair to public`);
  await database.pool.query('insert into pair (id) values (1), (2)');
});
afterAll(() => tenants.close());

describe('a transaction', () => {
  it('fails with what failed first, not with what could not follow', async () => {
    const work = tenants.acrossTenants('health', async (tx) => {
      tx.send('select 1 / 0');
      await tx.query('select 1');
    });
    await expect(work).rejects.toMatchObject({ code: '22012' });
  });

  it('is tried again after a deadlock, whichever statement met it', async () => {
    const locked: (() => void)[] = [];
    const bothLocked = Promise.all([1, 2].map((index) => new Promise<void>((resolve) => (locked[index] = resolve))));
    const add = async (tx: Transaction, first: number, second: number) => {
      await tx.query('update pair set n = n + 1 where id = $1', [first]);
      locked[first]?.();
      await bothLocked;
      tx.send('update pair set n = n + 1 where id = $1', [second]);
      await tx.query('select 1');
    };
    await Promise.all([
      tenants.acrossTenants('health', (tx) => add(tx, 1, 2)),
      tenants.acrossTenants('health', (tx) => add(tx, 2, 1)),
    ]);
    const { rows } = await database.pool.query<{ n: number }>('select n from pair order by id');
    expect(rows).toEqual([{ n: 2 }, { n: 2 }]);
  });
});
