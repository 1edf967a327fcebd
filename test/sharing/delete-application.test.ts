import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { applicationStore } from '../../src/postgres/application-deletion.ts';
import { deleteApplication } from '../../src/sharing/delete-application.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import {
  deadlocksOf,
  refusalOf,
  shareLab,
  userDocument,
  verbs,
  type LabBrand,
  type ShareOrder,
} from '../support/share-lab.ts';
import { shareSeen } from '../support/share-seen.ts';

const lab = shareLab();
afterEach(() => resetClock(lab.database.pool));

/** Gives a brand an organization, as a person's registration would. */
async function organized(brand: LabBrand): Promise<{ applicationId: string; organizationId: string }> {
  const organizationId = randomUUID();
  await lab.rows('insert into organization (organization_id, name) values ($1, $2)', [organizationId, 'Aurora']);
  await lab.rows('update application set organization_id = $2 where application_id = $1', [brand.id, organizationId]);
  return { applicationId: brand.id, organizationId };
}

function remove(ids: { applicationId: string; organizationId: string }, handoff = lab.handoff): Promise<void> {
  return handoff.withTenant(
    ids.applicationId,
    (tx, sql) => deleteApplication(tx, applicationStore(sql), ids, { kind: 'account', id: ids.organizationId }),
    'delete_application',
  );
}

const started = async (order: ShareOrder) => lab.start(await lab.takeIn(userDocument(), order.from), order);
const REVOKED = { state: 'revoked', reason: 'application_deleted' };
const signals = (tokenId: string) =>
  lab.wishes.filter((wish) => wish.tokenId === tokenId && wish.wish === 'signal').map(({ signal }) => signal);

describe('deleting an application', () => {
  it('revokes its open shares in both roles, whatever they wait for, and signals their runs', async () => {
    const [gone, other] = [await lab.newBrand(), await lab.newBrand()];
    const roles: ShareOrder[] = [
      { from: gone, to: other },
      { from: other, to: gone },
    ];
    const tokens: { tokenId: string; issuer: LabBrand; partner: LabBrand }[] = [];
    for (const { from = gone, to = gone } of roles) {
      const order = { from, to };
      const minting = await lab.open(await lab.takeIn(userDocument(), from), order);
      const waiting = await started(order);
      const acknowledged = await started(order);
      await lab.acknowledge(acknowledged, { by: to });
      for (const tokenId of [minting, waiting, acknowledged]) tokens.push({ tokenId, issuer: from, partner: to });
    }
    const plain = await lab.mint(await lab.takeIn(userDocument(), gone), { from: gone, to: other });
    const ids = await organized(gone);
    lab.wishes.length = 0;
    await remove(ids);
    for (const share of tokens) {
      expect(await lab.look(share.tokenId)).toEqual(REVOKED);
      expect(signals(share.tokenId)).toEqual(['tokenRevoked']);
      expect((await lab.rows('select status, reason from onboarding where token_id = $1', [share.tokenId]))[0]).toEqual(
        {
          status: 'revoked',
          reason: 'application_deleted',
        },
      );
      const seen = await shareSeen(lab, share);
      expect(seen.events).toContain('issuer share.revoked');
      expect(seen.acknowledgements.every((state) => state === 'refused')).toBe(true);
    }
    expect(await lab.look(plain.tokenId)).toEqual(REVOKED);
    expect(signals(plain.tokenId)).toEqual([]);
    // It says why to whoever still holds the token.
    expect((await refusalOf(lab.redeem(plain.tokenId, {}, other))).code).toBe('application_deleted');
    expect(await refusalOf(lab.mint(await lab.takeIn(userDocument()), { to: gone }))).toMatchObject({
      code: 'application_deleted',
    });
  });

  it('leaves alone what has ended, what ran out, and what is others’', async () => {
    const [gone, other] = [await lab.newBrand(), await lab.newBrand()];
    const order = { from: gone, to: other };
    const imported = await started(order);
    await lab.redeem(imported, {}, other);
    const refused = await started(order);
    await lab.acknowledge(refused, { accept: false, by: other });
    const short = await started({ ...order, ttlSeconds: 60 });
    const shortPlain = await lab.mint(await lab.takeIn(userDocument(), gone), { ...order, ttlSeconds: 60 });
    const theirs = await started({ from: lab.issuer, to: other });
    await shiftClock(lab.database.pool, '61 seconds');
    const ids = await organized(gone);
    lab.wishes.length = 0;
    const before = await lab.counts();
    await remove(ids);
    // Its own end stands in the audit trail.
    const { event = 0, audit_unsealed = 0 } = before;
    expect(await lab.counts()).toEqual({ ...before, event: event + 1, audit_unsealed: audit_unsealed + 1 });
    expect(lab.wishes).toEqual([]);
    const states = await Promise.all(
      [imported, refused, short, shortPlain.tokenId, theirs].map(async (tokenId) => (await lab.look(tokenId)).state),
    );
    expect(states).toEqual(['redeemed', 'refused', 'expired', 'expired', 'open']);
  });

  it('is its own organization’s, and done once', async () => {
    const gone = await lab.newBrand();
    const ids = await organized(gone);
    const strangers = [
      { ...ids, organizationId: randomUUID() },
      { ...ids, applicationId: lab.issuer.id },
    ];
    for (const call of strangers) expect((await refusalOf(remove(call))).code).toBe('not_found');
    const outcomes = await Promise.allSettled([remove(ids), remove(ids)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await refusalOf(remove(ids))).code).toBe('not_found');
  });

  it('never meets another deletion in a deadlock, whatever sessions their shares have in common', async () => {
    const own = createTenants({ databaseUrl: lab.database.url, maxConnections: 4 });
    const crowd = verbs(own, { issuer: lab.issuer, partner: lab.partner });
    try {
      const [one, other] = [await lab.newBrand(), await lab.newBrand()];
      const sessions: string[] = [];
      for (let n = 0; n < 60; n += 1) sessions.push(await lab.takeIn(userDocument()));
      for (const session of sessions) await lab.mint(session, { to: one });
      for (const session of sessions.toReversed()) await lab.mint(session, { to: other });
      const both = [await organized(one), await organized(other)];
      await Promise.all(both.map((ids) => remove(ids, crowd.handoff)));
    } finally {
      await own.close();
    }
    expect(await deadlocksOf(lab.database.url)).toBe(0);
  });

  it.each(['issuer', 'partner'] as const)('waits for a mint of its %s that is not committed yet', async (role) => {
    const gone = await lab.newBrand();
    const ids = await organized(gone);
    const [from, to] = role === 'issuer' ? [gone, lab.partner] : [lab.issuer, gone];
    const source = await lab.takeIn(userDocument(), from);
    // The source is the last row that a mint locks: whoever holds it holds the mint.
    const locked = ['select 1 from session where session_id = $1 for update', source] as const;
    const [minted, removed] = await lab.holding(locked, async () => {
      const mint = lab.mint(source, { from, to });
      await Promise.race([mint, lab.waiting(1)]);
      const removal = remove(ids);
      await Promise.race([removal, lab.waiting(2)]);
      return [mint, removal];
    });
    const [{ tokenId }] = await Promise.all([minted, removed]);
    expect(await lab.look(tokenId)).toEqual(REVOKED);
  });

  it('misses no share that is being made meanwhile, by whatever way', async () => {
    const own = createTenants({ databaseUrl: lab.database.url, maxConnections: 12 });
    const crowd = verbs(own, { issuer: lab.issuer, partner: lab.partner });
    try {
      for (let round = 0; round < 6; round += 1) {
        const gone = await lab.newBrand();
        const ids = await organized(gone);
        const [mine, theirs] = [await lab.takeIn(userDocument(), gone), await lab.takeIn(userDocument())];
        const opened = await Promise.all(
          Array.from({ length: 4 }, (_, n) =>
            n % 2 === 0 ? crowd.open(mine, { from: gone }) : crowd.open(theirs, { to: gone }),
          ),
        );
        const calls: (() => Promise<unknown>)[] = [
          ...opened.map((tokenId) => () => crowd.runMint(tokenId)),
          ...opened.map((tokenId, n) => () => crowd.acknowledge(tokenId, n % 2 === 0 ? {} : { by: gone })),
          () => crowd.mint(mine, { from: gone }),
          () => crowd.mint(theirs, { to: gone }),
          () => crowd.open(mine, { from: gone }),
          () => crowd.open(theirs, { to: gone }),
        ];
        calls.splice(round * 2, 0, () => remove(ids, crowd.handoff));
        const outcomes = await Promise.allSettled(calls.map((call) => call()));
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected') expect((outcome.reason as { code?: string }).code).toMatch(/_/);
        }
        const open = await lab.handoff.acrossTenants('onboarding', (_tx, sql) =>
          applicationStore(sql).openShares(gone.id),
        );
        expect(open).toEqual([]);
      }
    } finally {
      await own.close();
    }
    expect(await deadlocksOf(lab.database.url)).toBe(0);
  });
});
