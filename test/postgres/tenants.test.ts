import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTenants, type Tenants, type Transaction, type Wish } from '../../src/postgres/tenants.ts';
import { testDatabase } from '../support/database.ts';

const database = testDatabase();
const APPLICATION = randomUUID();
const wishes: Wish[] = [];
let tenants: ReturnType<typeof createTenants>;
beforeAll(async () => {
  await database.pool.query(`create table note (note_id int primary key, text text not null);
    grant select, insert, update, delete on note to public`);
  await database.pool.query(
    `insert into application (application_id, name, environment) values ($1, 'brand', 'sandbox')`,
    [APPLICATION],
  );
  tenants = createTenants({
    databaseUrl: database.url,
    maxConnections: 3,
    afterCommit: (made) => wishes.push(...made),
  });
});
beforeEach(async () => {
  wishes.length = 0;
  await database.pool.query(`truncate note, outbox; insert into note values (1, 'one'), (2, 'two')`);
});
afterAll(() => tenants.close());

const write = (tx: Transaction, id: number) => tx.send('insert into note values ($1, $2)', [id, 'new']);
const touch = (id: number) => `update note set text = text || '+' where note_id = ${id}`;
const start = (tokenId: string) => ({ wish: 'start', tokenId, subjectId: tokenId, signal: null }) as const;

async function notes(): Promise<number[]> {
  const { rows } = await database.pool.query<{ note_id: number }>('select note_id from note order by 1');
  return rows.map(({ note_id }) => note_id);
}

async function codeOf(call: Promise<unknown>): Promise<unknown> {
  const error: unknown = await call.then(
    () => 'no error',
    (reason: unknown) => reason,
  );
  return error instanceof Error ? ((error as { code?: unknown }).code ?? error.message) : error;
}

/** One transaction as every caller opens it. */
const run = <T>(work: (tx: Transaction) => Promise<T>): Promise<T> => tenants.withTenant(APPLICATION, work);

describe('a transaction', () => {
  it('commits everything that was sent, awaited or not, and gives its result', async () => {
    const result = await run(async (tx) => {
      write(tx, 3);
      const rows = await tx.query<{ note_id: number }>('select note_id from note where note_id = 3');
      write(tx, 4);
      return rows.length;
    });
    expect(result).toBe(1);
    expect(await notes()).toEqual([1, 2, 3, 4]);
  });

  it.each<[string, unknown, (tx: Transaction) => Promise<unknown>]>([
    ['what its work throws', 'thrown', async () => Promise.reject(new Error('thrown'))],
    ['a statement that fails and is awaited', '22012', (tx) => tx.query('select 1 / 0')],
    ['a statement that fails unawaited', '22012', async (tx) => tx.send('select 1 / 0')],
    ['a constraint', '23505', async (tx) => write(tx, 1)],
    [
      'a foreign key that is checked at the commit',
      '23503',
      async (tx) => {
        tx.send(
          `insert into session_check (session_id, application_id, category, position, payload) values ($1, $2, 'x', 0, '')`,
          [randomUUID(), APPLICATION],
        );
      },
    ],
    [
      'the statement that failed first, not those that it took along',
      '22012',
      (tx) => {
        tx.send('select 1 / 0');
        return tx.query('select note_id from note');
      },
    ],
    [
      'an error that the work swallowed',
      '22012',
      async (tx) => {
        await tx.query('select 1 / 0').catch(() => {});
      },
    ],
    [
      'a lock that is not given in time, through the reads behind it',
      '55P03',
      async (tx) => {
        const holder = await database.pool.connect();
        try {
          await holder.query('begin; select 1 from note where note_id = 1 for update');
          tx.send(`set local lock_timeout = '20ms'`);
          tx.send('select 1 from note where note_id = 1 for update');
          await tx.query('select note_id from note');
        } finally {
          await holder.query('rollback');
          holder.release();
        }
      },
    ],
  ])('fails with %s, and leaves nothing behind', async (_what, code, fail) => {
    const call = run(async (tx) => {
      write(tx, 3);
      tx.wish(start(randomUUID()));
      await fail(tx);
      write(tx, 4);
    });
    expect(await codeOf(call)).toBe(code);
    expect(await notes()).toEqual([1, 2]);
    expect((await database.pool.query('select 1 from outbox')).rowCount).toBe(0);
    expect(wishes).toEqual([]);
  });

  it('has its role and its tenant, and the next one on the connection nothing of them', async () => {
    const one = createTenants({ databaseUrl: database.url, maxConnections: 1 });
    const WHO = `select current_user as role, current_setting('handoff.tenant', true) as tenant`;
    const who = (tx: Transaction) => tx.query(WHO);
    const other = randomUUID();
    expect(await one.withTenant(APPLICATION, who, 'redeem')).toEqual([{ role: 'handoff_redeem', tenant: APPLICATION }]);
    expect(await one.withTenant(other, who)).toEqual([{ role: 'handoff_tenant', tenant: other }]);
    expect(await one.acrossTenants('relay', who)).toEqual([{ role: 'handoff_relay', tenant: '' }]);
    expect((await one.pool.query(WHO)).rows).toEqual([{ role: 'postgres', tenant: '' }]);
    await one.close();
  });

  it('is refused without an application id', () => {
    expect(() => tenants.withTenant(`${APPLICATION}'; drop table note; --`, async () => {})).toThrow(TypeError);
  });
});

describe('wishes', () => {
  it('are handed over once their rows are committed, in their order', async () => {
    const tokenId = randomUUID();
    let before = -1;
    await run(async (tx) => {
      tx.wish(start(tokenId), { wish: 'signal', tokenId, subjectId: tokenId, signal: 'tokenRevoked' });
      tx.wish({ wish: 'dispatch', tokenId, subjectId: randomUUID(), signal: null });
      await tx.query('select 1');
      before = wishes.length;
    });
    expect(before).toBe(0);
    const { rows } = await database.pool.query(
      `select outbox_id as "outboxId", wish, token_id as "tokenId", subject_id as "subjectId", signal
       from outbox order by outbox_id`,
    );
    expect(wishes).toEqual(rows);
    expect(wishes.map(({ wish }) => wish)).toEqual(['start', 'signal', 'dispatch']);
  });
});

describe('a deadlock', () => {
  /** Two transactions that take two rows crosswise at their first try, and meet in between. */
  async function cross(lock: (tx: Transaction, id: number) => Promise<unknown>): Promise<number> {
    let tries = 0;
    let waiting = 2;
    let meet = (): void => {};
    const met = new Promise<void>((resolve) => {
      meet = resolve;
    });
    const one = (crosswise: readonly [number, number]) => {
      let rows = crosswise;
      return run(async (tx) => {
        tries += 1;
        const [first, second] = rows;
        // Both may be chosen as the victim: they don't cross again.
        rows = [1, 2];
        await tx.query(touch(first));
        tx.wish(start(randomUUID()));
        waiting -= 1;
        if (waiting <= 0) meet();
        await met;
        await lock(tx, second);
      });
    };
    await Promise.all([one([1, 2]), one([2, 1])]);
    return tries;
  }

  it.each<[string, (tx: Transaction, id: number) => Promise<unknown>]>([
    ['at a statement that is awaited', (tx, id) => tx.query(touch(id))],
    ['at a statement that is not', async (tx, id) => tx.send(touch(id))],
    [
      'at a statement with a read behind it',
      (tx, id) => {
        tx.send(touch(id));
        return tx.query('select note_id from note');
      },
    ],
  ])('%s is tried again, and each effect and wish happens once', async (_where, lock) => {
    expect(await cross(lock)).toBeGreaterThan(2);
    const { rows } = await database.pool.query('select text from note order by note_id');
    expect(rows).toEqual([{ text: 'one++' }, { text: 'two++' }]);
    expect(wishes).toHaveLength(2);
    expect((await database.pool.query('select 1 from outbox')).rowCount).toBe(2);
  });

  it('is given up after three tries', async () => {
    let tries = 0;
    const call = run(async (tx) => {
      tries += 1;
      tx.send(`do $$ begin raise exception using errcode = '40001'; end $$`);
    });
    expect(await codeOf(call)).toBe('40001');
    expect(tries).toBe(3);
  });
});

describe('the pool', () => {
  it('gets every connection back, however a transaction ends', async () => {
    const few = createTenants({ databaseUrl: database.url, maxConnections: 2 });
    const pid = async (tx: Transaction) =>
      (await tx.query<{ pid: number }>('select pg_backend_pid() as pid'))[0]?.pid ?? 0;
    const ends: ((on: Tenants) => Promise<unknown>)[] = [
      (on) => on.withTenant(APPLICATION, async () => Promise.reject(new Error('thrown'))),
      (on) => on.withTenant(APPLICATION, async (tx) => tx.send('select 1 / 0')),
      (on) => on.withTenant(APPLICATION, (tx) => tx.query('no statement')),
      (on) => on.withTenant(APPLICATION, (tx) => tx.query('select 1')),
      // The server ends the session in the middle.
      (on) =>
        on.withTenant(APPLICATION, async (tx) => {
          await database.pool.query('select pg_terminate_backend($1)', [await pid(tx)]);
          await tx.query('select 1');
        }),
    ];
    await Promise.allSettled(Array.from({ length: 8 }, () => ends.map((end) => end(few))).flat());
    const pids = await Promise.all([few.acrossTenants('health', pid), few.acrossTenants('health', pid)]);
    expect(pids.every((found) => found > 0)).toBe(true);
    expect(few.pool.waitingCount).toBe(0);
    expect(few.pool.idleCount).toBe(few.pool.totalCount);
    const { rows } = await database.pool.query(
      `select count(*)::int as open from pg_stat_activity
       where datname = current_database() and application_name = 'handoff' and state like 'idle in transaction%'`,
    );
    expect(rows).toEqual([{ open: 0 }]);
    await few.close();
  });
});
