import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { businessDocument, refusalOf, sampleDocument, shareLab, userDocument } from '../support/share-lab.ts';

const lab = shareLab();
const CONTENT = ['session', 'session_key', 'session_check', 'session_home', 'session_person', 'session_provenance'];

const rowsOf = async (sessionId: string) => {
  const counts = CONTENT.map((table) => `(select count(*)::int from ${table} where session_id = $1) as ${table}`);
  const [row] = await lab.rows<Record<string, number>>(`select ${counts.join(', ')}`, [sessionId]);
  return Object.values(row ?? {}).reduce((sum, count) => sum + count, 0);
};

describe('deleting a session', () => {
  it('takes all of its content, and its number off the living', async () => {
    const brand = await lab.newBrand();
    const sessionId = await lab.takeIn(sampleDocument('kyb-approved'), brand);
    expect(await rowsOf(sessionId)).toBeGreaterThan(10);
    expect(await lab.remove(brand, sessionId)).toEqual({ sessionNumber: 1 });
    expect(await rowsOf(sessionId)).toBe(0);
    expect(
      await lab.rows(
        'select last_number::int as last, living::int as living from session_counter where application_id = $1',
        [brand.id],
      ),
    ).toEqual([{ last: 1, living: 0 }]);
  });

  it('happens once, whoever else tries at the same moment', async () => {
    const sessionId = await lab.takeIn(userDocument());
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => lab.remove(lab.issuer, sessionId)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'session_not_found' });
    }
  });

  it('waits for a deletion that is not committed yet, and finds the session and its people gone then', async () => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    const source = await lab.takeIn(businessDocument([await lab.takeIn(userDocument(), from)]), from);
    const { sessionId } = await lab.redeem((await lab.mint(source, { from, to })).tokenId, {}, to);
    const [person] = await lab.rows<{ id: string }>('select session_id as id from session where parent_import = $1', [
      sessionId,
    ]);
    // The counters are the last rows that a deletion locks: whoever holds them holds the deletion.
    const counters = ['select 1 from session_counter where application_id = $1 for update', to.id] as const;
    const [first, second, ofPerson] = await lab.holding(counters, async () => {
      const earlier = lab.remove(to, sessionId);
      await Promise.race([earlier, lab.waiting(1)]);
      const later = [lab.remove(to, sessionId), lab.remove(to, person?.id ?? '')].map((call) => refusalOf(call));
      await Promise.race([...later, lab.waiting(3)]);
      return [earlier, ...later];
    });
    await expect(first).resolves.toEqual({ sessionNumber: 1 });
    for (const refused of [await second, await ofPerson]) expect(refused).toHaveProperty('code', 'session_not_found');
  });

  it('is the owner’s alone', async () => {
    const sessionId = await lab.takeIn(userDocument());
    for (const call of [() => lab.remove(lab.partner, sessionId), () => lab.remove(lab.issuer, randomUUID())]) {
      expect((await refusalOf(call())).code).toBe('session_not_found');
    }
    expect(await lab.decision(lab.issuer, sessionId)).not.toBeNull();
  });

  it('of a source leaves its tokens to find it gone, and its imports alone', async () => {
    const sessionId = await lab.takeIn(userDocument());
    const [used, open] = [await lab.mint(sessionId), await lab.mint(sessionId, { to: lab.third })];
    const imported = await lab.redeem(used.tokenId);
    await lab.remove(lab.issuer, sessionId);
    expect((await refusalOf(lab.redeem(open.tokenId, {}, lab.third))).code).toBe('source_session_gone');
    expect((await refusalOf(lab.redeem(used.tokenId))).code).toBe('already_imported');
    expect(await lab.decision(lab.partner, imported.sessionId)).toEqual(imported.decision);
    expect(await lab.rows('select released_at from redemption where token_id = $1', [used.tokenId])).toEqual([
      { released_at: null },
    ]);
  });

  it('of an import frees its pair at once, and no token', async () => {
    const source = await lab.takeIn(userDocument());
    const [used, fresh, last] = [await lab.mint(source), await lab.mint(source), await lab.mint(source)];
    for (const [token, next] of [
      [used, fresh],
      [fresh, last],
    ] as const) {
      const imported = await lab.redeem(token.tokenId);
      expect((await refusalOf(lab.redeem(next.tokenId))).code).toBe('already_imported');
      await lab.remove(lab.partner, imported.sessionId);
      expect((await refusalOf(lab.redeem(token.tokenId))).code).toBe('already_imported');
    }
    await expect(lab.redeem(last.tokenId)).resolves.toHaveProperty('sessionId');
    for (const { tokenId } of [used, fresh]) {
      expect((await refusalOf(lab.redeem(tokenId))).code).toBe('already_imported');
    }
    const released = await lab.rows<{ released: boolean }>(
      'select released_at is not null as released from redemption where source_session_id = $1 order by redeemed_at',
      [source],
    );
    expect(released.map((row) => row.released)).toEqual([true, true, false]);
  });
});
