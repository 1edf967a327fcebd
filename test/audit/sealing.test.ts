import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AUDITED_COLUMNS } from '../../src/audit/audited-event.ts';
import { chainHash, emptyChain } from '../../src/audit/chain.ts';
import { PLATFORM_ID } from '../../src/domain/ids.ts';
import { isoColumn } from '../../src/postgres/session-rows.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import {
  anchorChains,
  sealAndAnchorLast,
  sealWaitingEvents,
  watchUnsealed,
  type UnsealedNotice,
} from '../../src/relay/audit.ts';
import { auditLab, writeEvents } from '../support/audit-lab.ts';
import { resetClock, shiftClock } from '../support/database.ts';

const lab = auditLab();

interface ChainRow {
  position: number;
  event_id: string;
  row: Buffer;
  chain: Buffer;
  sealed_at: string;
}

const chainOf = (applicationId: string) =>
  lab.rows<ChainRow>(
    `select position::int as position, event_id, row_sha256 as row, chain_sha256 as chain, ${isoColumn('sealed_at')} as sealed_at
     from audit_chain
     where application_id = $1 order by position`,
    [applicationId],
  );
const copiesOf = (applicationId: string) =>
  lab.rows<{ position: number }>(
    'select position::int as position from audit_anchor where application_id = $1 order by anchored_at',
    [applicationId],
  );
const lines = () =>
  existsSync(lab.folder)
    ? readdirSync(lab.folder).flatMap((name) => readFileSync(join(lab.folder, name), 'utf8').trim().split('\n'))
    : [];

describe('sealing', () => {
  it('covers every column of an event', async () => {
    const columns = await lab.rows<{ name: string }>(
      `select column_name as name from information_schema.columns where table_name = 'event'`,
    );
    expect(columns.map(({ name }) => name).toSorted()).toEqual([...AUDITED_COLUMNS].toSorted());
  });

  it('links events in their order, each row by the hash of the one before it', async () => {
    const application = randomUUID();
    const written = await lab.write(application, 5);
    await lab.seal();
    const chain = await chainOf(application);
    expect(chain.map(({ event_id }) => event_id)).toEqual(written);
    expect(chain.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5]);
    let previous = emptyChain(application).chainHash;
    for (const { position, row, chain: hash, sealed_at: sealedAt } of chain) {
      previous = chainHash(previous, { position, rowHash: row, sealedAt });
      expect(hash).toEqual(previous);
    }
    expect(await lab.rows('select 1 from audit_unsealed where application_id = $1', [application])).toEqual([]);
  });

  it('queues what any statement inserts, and takes what the platform did', async () => {
    const eventId = randomUUID();
    await lab.rows(
      `insert into event (event_id, application_id, type, subject_id, sequence, actor_kind, salt, digest, dedupe_key)
       values ($1, $2, 'keys.rotated', $1, 1, 'system', '\\x01', '\\x02', $3)`,
      [eventId, PLATFORM_ID, randomUUID()],
    );
    await lab.seal();
    expect((await chainOf(PLATFORM_ID)).map(({ event_id }) => event_id)).toEqual([eventId]);
  });

  it('goes on where the last round ended, over several batches', async () => {
    const application = randomUUID();
    await lab.write(application, 2);
    await lab.seal();
    await lab.rows(
      `insert into event (event_id, application_id, type, subject_id, sequence, actor_kind, salt, digest, dedupe_key)
       select gen_random_uuid(), $1, 'status.updated', $1, n, 'system', '\\x01', '\\x02', gen_random_uuid()
       from generate_series(1, 1200) n`,
      [application],
    );
    await lab.seal();
    const chain = await chainOf(application);
    expect(chain.map(({ position }) => position)).toEqual(Array.from({ length: 1202 }, (_, n) => n + 1));
    expect((await lab.verify(null)).findings).toEqual([]);
  });

  it('counts nothing for an entry that was made for a sealed event', async () => {
    const application = randomUUID();
    const [event] = await lab.write(application, 1);
    await lab.seal();
    await lab.rows('insert into audit_unsealed (event_id, application_id) values ($1, $2)', [event, application]);
    await lab.write(application, 1);
    await lab.seal();
    expect(await chainOf(application)).toHaveLength(2);
    expect(await lab.rows('select 1 from audit_unsealed where application_id = $1', [application])).toEqual([]);
  });

  it('seals exactly once, without gaps, with writers and three relays at the same time', async () => {
    const applications = [randomUUID(), randomUUID()];
    const relays = [1, 2, 3].map(() => createTenants({ databaseUrl: lab.database.url, maxConnections: 2 }));
    const writing = { on: true };
    const sealing = relays.map(async (tenants) => {
      while (writing.on) {
        await sealWaitingEvents(tenants);
        await anchorChains(tenants, { signer: lab.signer, store: lab.store, everySeconds: 0 });
      }
    });
    const writers = applications.flatMap((id) => [1, 2, 3].map(() => writeEvents(lab.tenants, id, 60)));
    const written = await Promise.all(writers);
    writing.on = false;
    await Promise.all(sealing);
    await lab.seal();
    for (const [index, application] of applications.entries()) {
      const chain = await chainOf(application);
      expect(chain.map(({ position }) => position)).toEqual(Array.from({ length: 180 }, (_, n) => n + 1));
      const ids = written.slice(index * 3, index * 3 + 3).flat();
      expect(chain.map(({ event_id }) => event_id).toSorted()).toEqual(ids.toSorted());
    }
    await lab.anchor();
    expect((await lab.verify()).findings).toEqual([]);
    await Promise.all(relays.map((tenants) => tenants.close()));
  });

  it('seals events of one subject in the order of their sequence', async () => {
    const application = randomUUID();
    const sessionId = randomUUID();
    const writing = { on: true };
    const sealing = (async () => {
      while (writing.on) await sealWaitingEvents(lab.tenants);
    })();
    await Promise.all([1, 2, 3].map(() => writeEvents(lab.tenants, application, 20, { sessionId })));
    writing.on = false;
    await sealing;
    await lab.seal();
    const order = await lab.rows<{ sequence: number }>(
      `select e.sequence::int as sequence from audit_chain c join event e using (event_id)
       where c.application_id = $1 order by c.position`,
      [application],
    );
    expect(order.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
  });

  it('does not hold up the writers while it seals, nor an application while another is sealed', async () => {
    const [busy, other] = [randomUUID(), randomUUID()];
    await lab.write(busy, 1);
    const client = await lab.database.pool.connect();
    await client.query('begin');
    await client.query('insert into audit_head (application_id) values ($1) on conflict do nothing', [busy]);
    await client.query('commit; begin');
    await client.query('select 1 from audit_head where application_id = $1 for update', [busy]);
    await lab.write(busy, 1);
    await lab.write(other, 1);
    await lab.seal();
    expect([await chainOf(busy), await chainOf(other)].map(({ length }) => length)).toEqual([0, 1]);
    await client.query('commit');
    client.release();
    await lab.seal();
    expect(await chainOf(busy)).toHaveLength(2);
  });
});

describe('a watch over what waits', () => {
  it('tells of events that are not sealed for over a minute, under another application’s name too', async () => {
    const application = randomUUID();
    const notices: UnsealedNotice[] = [];
    const watch = () => watchUnsealed(lab.tenants, (notice) => notices.push(notice));
    const [event] = await lab.write(application, 2);
    await lab.tamper('update audit_unsealed set application_id = $2 where event_id = $1', [event, randomUUID()]);
    await lab.seal();
    await watch();
    expect(notices).toEqual([]);
    try {
      await shiftClock(lab.database.pool, '61 seconds');
      await watch();
      expect(notices).toEqual([{ events: 1, seconds: expect.any(Number) as number }]);
    } finally {
      await resetClock(lab.database.pool);
      await lab.tamper('update audit_unsealed set application_id = $2 where event_id = $1', [event, application]);
      await lab.seal();
    }
  });
});

describe('anchoring', () => {
  it('keeps one line for each chain that advanced, and a copy', async () => {
    const application = randomUUID();
    await lab.write(application, 3);
    await lab.seal();
    await lab.anchor();
    await lab.anchor();
    const kept = lines().filter((line) => line.includes(application));
    expect(kept.map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        application_id: application,
        position: 3,
        chain_sha256: (await chainOf(application)).at(-1)?.chain.toString('hex'),
        anchored_at: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/) as string,
        key_id: lab.signer.keyId,
        signature: expect.any(String) as string,
      },
    ]);
    expect(await copiesOf(application)).toEqual([{ position: 3 }]);
  });

  it('anchors an application again only when its time is over', async () => {
    const application = randomUUID();
    try {
      for (let n = 0; n < 3; n += 1) {
        await lab.write(application, 1);
        await lab.seal();
        await lab.anchor(60);
      }
      expect(await copiesOf(application)).toEqual([{ position: 1 }]);
      await shiftClock(lab.database.pool, '61 seconds');
      await lab.anchor(60);
      expect(await copiesOf(application)).toEqual([{ position: 1 }, { position: 3 }]);
    } finally {
      await resetClock(lab.database.pool);
    }
  });

  it('catches up with a store that was away, while everything else went on', async () => {
    const application = randomUUID();
    try {
      lab.store.away = true;
      await lab.write(application, 2);
      await lab.seal();
      await expect(lab.anchor(60)).rejects.toThrow('away');
      await lab.write(application, 2);
      await lab.seal();
      await expect(sealAndAnchorLast(lab.tenants, { ...lab, everySeconds: 60 })).rejects.toThrow('away');
      expect(await chainOf(application)).toHaveLength(4);
      expect(await copiesOf(application)).toEqual([]);
      lab.store.away = false;
      await lab.anchor(60);
      expect(await copiesOf(application)).toEqual([]);
      await shiftClock(lab.database.pool, '61 seconds');
      await lab.anchor(60);
      expect(await copiesOf(application)).toEqual([{ position: 4 }]);
      expect((await lab.verify()).findings.filter(({ applicationId }) => applicationId === application)).toEqual([]);
    } finally {
      lab.store.away = false;
      await resetClock(lab.database.pool);
    }
  });

  it('is done for everything before a relay ends, whatever the time', async () => {
    const application = randomUUID();
    await lab.write(application, 1);
    await lab.seal();
    await lab.anchor(60);
    await lab.write(application, 1);
    await sealAndAnchorLast(lab.tenants, { ...lab, everySeconds: 60 });
    expect(await copiesOf(application)).toEqual([{ position: 1 }, { position: 2 }]);
  });
});
