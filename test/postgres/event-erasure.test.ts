import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { EventType } from '../../src/domain/events.ts';
import { dispatchEvents } from '../../src/postgres/deliveries.ts';
import { deleteEntities } from '../../src/postgres/entities.ts';
import { deleteSessions } from '../../src/postgres/session-deletion.ts';
import { replayMissing } from '../../src/postgres/webhook-repair.ts';
import { deliveryLab, recordOf } from '../support/delivery-lab.ts';

const lab = deliveryLab();
const ALL_TIME = { since: '2020-01-01T00:00:00Z', until: '2099-01-01T00:00:00Z' };

/** Tells an application something of a session or an entity, with its deliveries unless it stays on its way. */
async function tell(
  applicationId: string,
  type: EventType,
  about: { readonly sessionId: string } | { readonly entityId: string },
  { dispatched = true } = {},
): Promise<string> {
  const dedupeKey = randomUUID();
  const sessionId = 'sessionId' in about ? about.sessionId : null;
  const subject = 'entityId' in about ? { subjectId: about.entityId } : {};
  const body = { webhook_type: type, decision: { name: 'Jane' }, changes: { name: { current: 'Jane' } } };
  await lab.handoff.acrossTenants('relay', async (tx) => {
    tx.events.insert([{ type, applicationId, tokenId: null, sessionId, ...subject, dedupeKey, body }], {
      kind: 'system',
      id: null,
    });
  });
  const [row] = await lab.rows<{ event_id: string }>('select event_id from event where dedupe_key = $1', [dedupeKey]);
  if (row === undefined) throw new Error('an event that was inserted is there');
  if (dispatched) await lab.tenants.acrossTenants('relay', (sql) => dispatchEvents(sql, { eventIds: [row.event_id] }));
  return row.event_id;
}

/** What is left of events, in the order of these ids. */
const leftOf = async (eventIds: readonly string[]) => {
  const rows = await lab.rows<{ left: string }>(
    `select concat_ws(' ', v.state, v.last_reason, case when p.event_id is not null then 'payload' end,
       case when v.delivery_id is not null and v.ended_at is null then 'open' end) as left
     from unnest($1::uuid[]) with ordinality as wanted(event_id, at) join event e using (event_id)
     left join event_payload p using (event_id) left join delivery v on v.event_id = e.event_id order by wanted.at`,
    [eventIds],
  );
  return rows.map(({ left }) => left);
};

const KINDS = [
  {
    what: 'a session',
    types: ['status.updated', 'data.updated'],
    reason: 'session_deleted',
    make: async () => ({ sessionId: randomUUID() }),
    remove: (applicationId: string, about: object) =>
      lab.tenants.withTenant(applicationId, async (sql) => {
        deleteSessions(sql, applicationId, Object.values(about) as string[]);
      }),
  },
  ...(['user', 'business'] as const).map((kind) => ({
    what: `a ${kind}`,
    types: [`${kind}.status.updated`, `${kind}.data.updated`],
    reason: 'entity_deleted',
    make: async (applicationId: string) => {
      const entityId = randomUUID();
      await lab.rows(
        'insert into entity (entity_id, application_id, session_kind, vendor_data) values ($1::uuid, $2, $3, $1::uuid::text)',
        [entityId, applicationId, kind],
      );
      return { entityId };
    },
    remove: async (applicationId: string, about: object) => {
      const selection = { by: 'id', ids: Object.values(about) as string[] } as const;
      const gone = await lab.tenants.withTenant(applicationId, (sql) =>
        deleteEntities(sql, applicationId, kind, selection, 10),
      );
      expect(gone).toHaveLength(1);
    },
  })),
] as const;

describe.each(KINDS)('the deletion of $what', ({ types, reason, make, remove }) => {
  it.each(types)('erases what %s told, and stops its deliveries', async (type) => {
    const applicationId = await lab.application();
    const destinationId = await lab.destination(applicationId);
    const [about, another] = [await make(applicationId), await make(applicationId)];
    const got = await tell(applicationId, type as EventType, about);
    await lab.attempt(1, 'delivered', { responseHead: 'you said {"name":"Jane"}' });
    await lab.byHand(destinationId);
    const failed = await tell(applicationId, type as EventType, about);
    const onItsWay = await tell(applicationId, type as EventType, about, { dispatched: false });
    const others = await tell(applicationId, type as EventType, another);

    await remove(applicationId, about);
    expect(await leftOf([got, failed, onItsWay, others])).toEqual([
      'delivered http_204',
      `stopped ${reason}`,
      '',
      'pending payload open',
    ]);
    expect(
      await lab.rows('select trigger, state, reason, response_head from delivery_attempt order by created_at'),
    ).toEqual([
      { trigger: 'auto', state: 'delivered', reason: 'http_204', response_head: null },
      { trigger: 'manual', state: 'failed', reason, response_head: null },
    ]);
    const replayed = await lab.tenants.withTenant(applicationId, (sql) =>
      replayMissing(sql, applicationId, destinationId, ALL_TIME),
    );
    expect(replayed.count).toBe(0);
    expect((await lab.claimAll()).map(({ eventId }) => eventId)).toEqual([others]);
    // The fact stays: it is the audit trail.
    expect(await lab.rows('select 1 from event where event_id = any ($1)', [[got, failed, onItsWay]])).toHaveLength(3);
  });

  it('keeps no answer to what was under way', async () => {
    const applicationId = await lab.application();
    await lab.destination(applicationId);
    const about = await make(applicationId);
    const eventId = await tell(applicationId, types[0] as EventType, about);
    const claimed = await lab.claimOnly();
    await remove(applicationId, about);
    await lab.ledger.record(recordOf(claimed, 'delivered', { responseHead: 'you said {"name":"Jane"}' }));
    expect(await leftOf([eventId])).toEqual(['delivered http_204']);
    expect(await lab.rows('select state, response_head from delivery_attempt')).toEqual([
      { state: 'delivered', response_head: null },
    ]);
  });

  it('and the recording of an attempt wait for each other', async () => {
    const applicationId = await lab.application();
    await lab.destination(applicationId);
    for (let n = 0; n < 10; n += 1) {
      const about = await make(applicationId);
      await tell(applicationId, types[0] as EventType, about);
      const claimed = await lab.claimOnly();
      await Promise.all([
        remove(applicationId, about),
        lab.ledger.record(recordOf(claimed, 'delivered', { responseHead: 'you said {"name":"Jane"}' })),
      ]);
    }
    expect(await lab.rows('select 1 from delivery_attempt where response_head is not null')).toEqual([]);
    expect(await lab.rows('select 1 from delivery_attempt')).toHaveLength(10);
  });
});

it('the deletion of a session leaves what its shares told, which is ids', async () => {
  const applicationId = await lab.application();
  await lab.destination(applicationId);
  const about = { sessionId: randomUUID() };
  const eventId = await tell(applicationId, 'share.imported', about);
  await lab.tenants.withTenant(applicationId, async (sql) => {
    deleteSessions(sql, applicationId, [about.sessionId]);
  });
  expect(await leftOf([eventId])).toEqual(['pending payload open']);
});
