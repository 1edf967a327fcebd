import { createHash, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/crypto/canonical-json.ts';
import type { Actor } from '../../src/domain/events.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { sealContextOfEvent } from '../../src/postgres/events.ts';
import type { NewEvent } from '../../src/sharing/ports.ts';
import { sampleDocument, shareLab, userDocument } from '../support/share-lab.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
const ACTOR: Actor = { kind: 'api_key', id: 'key-1' };

function newEvent(body: JsonObject, more: Partial<NewEvent> = {}): NewEvent {
  return {
    type: 'status.updated',
    applicationId: lab.partner.id,
    tokenId: randomUUID(),
    sessionId: randomUUID(),
    dedupeKey: randomUUID(),
    body: { webhook_type: 'status.updated', status: 'Approved', ...body },
    ...more,
  };
}

const insert = (...events: NewEvent[]) =>
  lab.handoff.acrossTenants('relay', async (tx) => tx.events.insert(events, ACTOR));

/** The stored event of a key, with its payload opened. */
async function stored(dedupeKey: string) {
  const rows = await lab.rows<{
    event_id: string;
    application_id: string;
    session_id: string | null;
    salt: Buffer;
    digest: Buffer;
    payload: Buffer;
  }>('select * from event join event_payload using (event_id, application_id) where dedupe_key = $1', [dedupeKey]);
  const [row, ...others] = rows;
  if (row === undefined || others.length > 0) throw new Error(`${rows.length} events of ${dedupeKey}`);
  const context = sealContextOfEvent({
    applicationId: row.application_id,
    sessionId: row.session_id,
    eventId: row.event_id,
  });
  return { ...row, payload: testSealer.openPayload(context, row.payload) as JsonObject };
}

/** Numbers of the events about a subject, of all applications. */
async function numbers(subjectId: string): Promise<number[]> {
  const rows = await lab.rows<{ n: number }>('select sequence::int as n from event where subject_id = $1 order by 1', [
    subjectId,
  ]);
  return rows.map(({ n }) => n);
}

function digestOf(salt: Buffer, payload: JsonObject): Buffer {
  return createHash('sha256')
    .update(Buffer.concat([salt, Buffer.from(canonicalJson(payload))]))
    .digest();
}

describe('an event', () => {
  it('has the salted digest of its canonical payload', async () => {
    const plain = newEvent({ b: 1, a: { z: 'ü', c: null }, decision: { z: 1.5, a: [] } });
    const second = newEvent({});
    await insert(plain, second);
    const event = await stored(plain.dedupeKey);
    expect(event.payload).toEqual(plain.body);
    expect(event.salt).toHaveLength(16);
    expect(event.digest).toEqual(digestOf(event.salt, plain.body));
    const other = await stored(second.dedupeKey);
    expect(other.salt).not.toEqual(event.salt);
    expect(other.digest).toEqual(digestOf(other.salt, second.body));
  });

  it('keeps who, what and whom', async () => {
    const event = newEvent({});
    await insert(event);
    const rows = await lab.rows(
      'select application_id, type, token_id, session_id, actor_kind, actor_id from event where dedupe_key = $1',
      [event.dedupeKey],
    );
    expect(rows).toEqual([
      {
        application_id: event.applicationId,
        type: event.type,
        token_id: event.tokenId,
        session_id: event.sessionId,
        actor_kind: 'api_key',
        actor_id: 'key-1',
      },
    ]);
  });

  it('happens once for its key, however often and at once it is written', async () => {
    const event = newEvent({});
    await Promise.all(Array.from({ length: 8 }, () => insert(event)));
    await insert(event);
    expect((await stored(event.dedupeKey)).payload).toEqual(event.body);
    expect(await lab.rows('select 1 from event where dedupe_key = $1', [event.dedupeKey])).toHaveLength(1);
  });

  it('has the next number of its subject, however many come at once; one that was told already takes none', async () => {
    const sessionId = randomUUID();
    const events = Array.from({ length: 6 }, () => newEvent({}, { sessionId }));
    await Promise.all([...events, ...events].map((event) => insert(event)));
    await insert(...events.toReversed());
    const last = newEvent({}, { sessionId });
    await insert(last);
    expect(await numbers(sessionId)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(await lab.rows('select sequence::int as n from event where dedupe_key = $1', [last.dedupeKey])).toEqual([
      { n: 7 },
    ]);
  });

  it('takes no number when it is told while it waits for its turn', async () => {
    const sessionId = randomUUID();
    const [event, next] = [newEvent({}, { sessionId }), newEvent({}, { sessionId })];
    let again: Promise<void> | undefined;
    await lab.handoff.acrossTenants('relay', async (tx, sql) => {
      tx.events.insert([event], ACTOR);
      await sql.query('select 1');
      again = insert(event);
      const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      while ((await lab.rows(waiting)).length === 0);
    });
    await again;
    await insert(next);
    expect(await numbers(sessionId)).toEqual([1, 2]);
  });

  it('is numbered among those about its session, else its token, else what it names', async () => {
    const [tokenId, subjectId, sessionId] = [randomUUID(), randomUUID(), randomUUID()];
    const other = { tokenId: null, sessionId: null };
    await insert(
      newEvent({}, { tokenId, sessionId }),
      newEvent({}, { tokenId, sessionId: null }),
      newEvent({}, { tokenId: randomUUID(), sessionId }),
      newEvent({}, { ...other, subjectId }),
      newEvent({}, { ...other, subjectId }),
      newEvent({}, { ...other, subjectId, applicationId: lab.issuer.id }),
      newEvent({}, other),
    );
    expect(await numbers(sessionId)).toEqual([1, 2]);
    expect(await numbers(tokenId)).toEqual([1]);
    expect(await numbers(subjectId)).toEqual([1, 1, 2]);
  });

  it('wants to be dispatched, unless the run delivers it itself', async () => {
    const [notice, received] = [newEvent({}), newEvent({}, { type: 'share.received', byRun: true })];
    await insert(notice, received);
    const wished = await lab.rows<{ subject_id: string; token_id: string }>(
      `select subject_id, token_id from outbox where wish = 'dispatch' and token_id = any ($1)`,
      [[notice.tokenId, received.tokenId]],
    );
    expect(wished).toEqual([{ subject_id: (await stored(notice.dedupeKey)).event_id, token_id: notice.tokenId }]);
  });

  it('dies with its transaction', async () => {
    const event = newEvent({});
    const failing = lab.handoff.acrossTenants('relay', async (tx) => {
      tx.events.insert([event], ACTOR);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await lab.rows('select 1 from event where dedupe_key = $1', [event.dedupeKey])).toEqual([]);
  });
});

describe('a payload that cannot be signed as it is', () => {
  const deep = (levels: number): JsonObject => (levels === 0 ? {} : { a: deep(levels - 1) });

  it.each<[string, JsonObject]>([
    ['an integer beyond 2^53', { n: 2 ** 60 }],
    ['a decimal below 0.0001', { n: 1e-7 }],
    ['a key that is no identifier', { 'first name': 'x' }],
    ['half of a surrogate pair', { text: '\ud800' }],
    ['a nesting deeper than receivers parse', deep(70)],
    ['more than 62 KiB', { text: 'x'.repeat(63 * 1024) }],
    ['more than 62 KiB in bytes, not characters', { text: 'ü'.repeat(32 * 1024) }],
  ])('goes without its decision: %s', async (_what, decision) => {
    const event = newEvent({ decision, metadata: { kept: true } });
    await insert(event);
    const { payload, salt, digest } = await stored(event.dedupeKey);
    const { decision: _left, ...others } = event.body;
    expect(payload).toEqual({ ...others, decision_omitted: true });
    expect(digest).toEqual(digestOf(salt, payload));
  });

  it('keeps of its other members what fits', async () => {
    const event = newEvent({ metadata: { '10': 1 }, decision: { fine: true } });
    await insert(event);
    const { payload, salt, digest } = await stored(event.dedupeKey);
    const { metadata: _left, ...others } = event.body;
    expect(payload).toEqual({ ...others, metadata_omitted: true });
    expect(digest).toEqual(digestOf(salt, payload));
  });

  it('does not fail the import that it tells of', async () => {
    const source = await lab.takeIn(
      userDocument({
        vendor_data: 'crm-\u{1F600}',
        id_verifications: [{ status: 'Approved', 'odd key': 'x', tiny: 1e-9, note: 'y'.repeat(70_000) }],
      }),
    );
    const { tokenId } = await lab.mint(source);
    const imported = await lab.redeem(tokenId);
    expect(imported.decision['id_verifications']).toEqual([
      expect.objectContaining({ 'odd key': 'x', tiny: 1e-9 }) as unknown,
    ]);
    const { payload } = await stored(`${imported.sessionId}:status.updated:imported`);
    expect(payload).toMatchObject({ decision_omitted: true, vendor_data: 'crm-\u{1F600}' });
    expect(payload).not.toHaveProperty('decision');
  });

  it('is none of the samples: an import tells their whole decision', async () => {
    for (const name of ['kyc-approved', 'kyc-approved-non-latin', 'kyb-approved']) {
      const { tokenId } = await lab.mint(await lab.takeIn(sampleDocument(name)));
      const imported = await lab.redeem(tokenId);
      const { payload } = await stored(`${imported.sessionId}:status.updated:imported`);
      expect(payload['decision']).toEqual(imported.decision);
    }
  });
});
