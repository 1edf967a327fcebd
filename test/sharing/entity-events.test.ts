import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { EntityChange } from '../../src/domain/entity.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { entityStore, insertEntity } from '../../src/postgres/entities.ts';
import { sealContextOfEvent } from '../../src/postgres/events.ts';
import { changeEntity } from '../../src/sharing/change-entity.ts';
import { refusalOf, shareLab } from '../support/share-lab.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
const KINDS = ['user', 'business'] as const;
type Kind = (typeof KINDS)[number];
const ID = { user: 'vendor_user_id', business: 'vendor_business_id' } as const;

/** A user or business of the issuer with nothing said of it. */
async function newEntity(kind: Kind, vendorData: string | null = randomUUID()): Promise<{ id: string; name: string }> {
  const nothing = { status: 'ACTIVE', profile: {}, metadata: {} } as const;
  const id = await lab.tenants.withTenant(lab.issuer.id, (sql) =>
    insertEntity(sql, testSealer, { applicationId: lab.issuer.id, kind, vendorData }, nothing),
  );
  if (id === null) throw new Error('its name is new');
  return { id, name: vendorData ?? id };
}

const change = (kind: Kind, name: string, what: EntityChange) =>
  lab.handoff.withTenant(lab.issuer.id, (tx, sql) => {
    const key = { applicationId: lab.issuer.id, kind, name };
    const actor = { kind: 'api_key', id: 'key-1', requestId: 'request-1' } as const;
    return changeEntity(tx, entityStore(sql, testSealer), key, what, actor);
  });

/** What was told of an entity, in its order. */
async function told(entityId: string) {
  const rows = await lab.rows<{ type: string; sequence: number; event_id: string; payload: Buffer; who: string }>(
    `select type, sequence::int, event_id, payload, concat_ws(' ', actor_kind, actor_id, request_id) as who
     from event join event_payload using (event_id, application_id)
     where subject_id = $1 and application_id = $2 and session_id is null and token_id is null order by sequence`,
    [entityId, lab.issuer.id],
  );
  return rows.map(({ type, sequence, event_id: eventId, payload, who }) => {
    const context = sealContextOfEvent({ applicationId: lab.issuer.id, sessionId: null, eventId });
    return { type, sequence, who, body: testSealer.openPayload(context, payload) as JsonObject };
  });
}

describe.each(KINDS)('a change of a %s', (kind) => {
  it('is told as its own event: the status, and all the rest', async () => {
    const { id, name } = await newEntity(kind);
    await change(kind, name, { profile: { display_name: 'Ada' }, metadata: { tier: 'gold' }, status: 'FLAGGED' });
    await change(kind, name, { profile: { display_name: null }, status: 'BLOCKED' });
    const about = {
      application_id: lab.issuer.id,
      environment: 'sandbox',
      [ID[kind]]: id,
      vendor_data: name,
    };
    const who = 'api_key key-1 request-1';
    const [status, data] = [`${kind}.status.updated`, `${kind}.data.updated`];
    expect(await told(id)).toEqual([
      {
        type: status,
        sequence: 1,
        who,
        body: { ...about, webhook_type: status, status: 'FLAGGED', previous_status: 'ACTIVE' },
      },
      {
        type: data,
        sequence: 2,
        who,
        body: {
          ...about,
          webhook_type: data,
          status: 'FLAGGED',
          changed_fields: ['metadata', 'display_name'],
          changes: {
            metadata: { previous: {}, current: { tier: 'gold' } },
            display_name: { previous: null, current: 'Ada' },
          },
        },
      },
      {
        type: status,
        sequence: 3,
        who,
        body: { ...about, webhook_type: status, status: 'BLOCKED', previous_status: 'FLAGGED' },
      },
      {
        type: data,
        sequence: 4,
        who,
        body: {
          ...about,
          webhook_type: data,
          status: 'BLOCKED',
          changed_fields: ['display_name'],
          changes: { display_name: { previous: 'Ada', current: null } },
        },
      },
    ]);
  });

  it('is not told when it changes nothing, or is none', async () => {
    const { id, name } = await newEntity(kind);
    await change(kind, name, { status: 'ACTIVE', metadata: {}, profile: { display_name: null } });
    expect(await told(id)).toEqual([]);
    const before = await lab.counts();
    expect((await refusalOf(change(kind, randomUUID(), { status: 'BLOCKED' }))).code).toBe('not_found');
    expect(await lab.counts()).toEqual(before);
  });

  it('is told once for each that was made at once, with the status before it', async () => {
    const { id, name } = await newEntity(kind);
    const statuses = ['FLAGGED', 'BLOCKED', 'ACTIVE', 'FLAGGED', 'BLOCKED', 'ACTIVE'] as const;
    await Promise.all(statuses.map((status) => change(kind, name, { status })));
    const events = await told(id);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_event, index) => index + 1));
    let before: unknown = 'ACTIVE';
    for (const { body } of events) {
      expect(body['previous_status']).toBe(before);
      before = body['status'];
    }
    expect(await lab.rows('select status from entity where entity_id = $1', [id])).toEqual([{ status: before }]);
  });

  it('stands though its values can be in no signed body', async () => {
    const { id, name } = await newEntity(kind);
    const metadata = { '10': 'first', text: 'ü'.repeat(100_000) };
    await change(kind, name, { metadata, status: 'FLAGGED' });
    const [status, data] = await told(id);
    expect(status?.body).toMatchObject({ status: 'FLAGGED' });
    expect(data?.body).toMatchObject({ changed_fields: ['metadata'], changes_omitted: true });
    expect(data?.body).not.toHaveProperty('changes');
  });
});

it('a business without vendor_data is named by its id alone', async () => {
  const { id } = await newEntity('business', null);
  await change('business', id, { status: 'BLOCKED' });
  expect((await told(id)).map(({ body }) => body)).toMatchObject([{ vendor_business_id: id, vendor_data: null }]);
});
