import { expect, it } from 'vitest';
import { asRole, rowsAs, type Acting } from '../support/isolation.ts';
import { businessDocument, shareLab, userDocument } from '../support/share-lab.ts';

const lab = shareLab();

/** What of an issuer's session a transaction of the crossing sees, and of the people that it brings along. */
const WHAT = `select
  (select count(*)::int from session where session_id = any ($1::uuid[])) as sessions,
  (select count(*)::int from session_check where session_id = any ($1::uuid[])) as checks,
  (select count(*)::int from session_key where session_id = any ($1::uuid[])) as keys,
  (select count(*)::int from token_key where session_id = any ($1::uuid[])) as wrapped`;
const NOTHING = { sessions: 0, checks: 0, keys: 0, wrapped: 0 };
const REDEEM = `insert into redemption (token_id, source_session_id, issuer_id, partner_id, session_id, trust_review, redeemed_at)
  values ($1, $2, $3, $4, gen_random_uuid(), false, now())`;

async function sharedBusiness() {
  const stranger = await lab.takeIn(userDocument());
  const people = [
    await lab.takeIn(userDocument()),
    await lab.takeIn(userDocument({ external_id: `officer-${stranger}` })),
  ];
  const source = await lab.takeIn(businessDocument([people[0] ?? '', `officer-${stranger}`]));
  const { tokenId } = await lab.mint(source);
  return { source, people, stranger, tokenId };
}

const seenBy = (
  acting: Acting,
  ids: readonly string[],
  operation: 'redeem' | 'onboarding' | 'tenant' | 'mint' = 'redeem',
) =>
  rowsAs(
    lab.database.pool,
    operation,
    acting,
    operation === 'redeem' ? WHAT : 'select 1 from session where session_id = any ($1::uuid[])',
    [ids],
  );

it('shows its partner the facts of what a token shares, and its content once it is redeemed, in that transaction alone', async () => {
  const { source, people, stranger, tokenId } = await sharedBusiness();
  const { issuer, partner } = lab;
  const ids = [source, ...people, stranger];
  const acting = { tenant: partner.id, token: tokenId };
  expect(await seenBy({ tenant: partner.id }, ids)).toEqual([NOTHING]);
  expect(await seenBy(acting, ids)).toEqual([{ ...NOTHING, sessions: 3 }]);
  expect(await seenBy(acting, [stranger])).toEqual([NOTHING]);
  await asRole(lab.database.pool, 'redeem', acting, async (client) => {
    await client.query(REDEEM, [tokenId, source, issuer.id, partner.id]);
    const { rows } = await client.query(WHAT, [ids]);
    expect(rows).toEqual([{ sessions: 3, checks: 4, keys: 0, wrapped: 3 }]);
    // To be kept from changing, and no more.
    expect((await client.query('select 1 from session where session_id = $1 for share', [source])).rowCount).toBe(1);
    await client.query('savepoint before');
    for (const change of [
      `update session set status = 'Declined' where session_id = $1`,
      'delete from session where session_id = $1',
      'update session_check set payload = payload where session_id = $1',
    ]) {
      await expect(client.query(change, [source])).rejects.toThrow(/permission denied/);
      await client.query('rollback to savepoint before');
    }
    // The one column that a lock needs.
    await expect(
      client.query('update session set updated_at = updated_at where session_id = $1', [source]),
    ).rejects.toThrow(/row-level security/);
  });

  await lab.redeem(tokenId);
  // Whoever has redeemed it has its copy, and sees the source no more than before.
  expect(await seenBy(acting, ids)).toEqual([{ ...NOTHING, sessions: 3 }]);
});

it('shows nothing to others: with another’s token, a closed one, or one of an application that is not the partner', async () => {
  const { source, people, tokenId } = await sharedBusiness();
  const other = await lab.mint(await lab.takeIn(userDocument()), { to: lab.third });
  const ids = [source, ...people];
  expect(await seenBy({ tenant: lab.third.id, token: tokenId }, ids)).toEqual([NOTHING]);
  expect(await seenBy({ tenant: lab.partner.id, token: other.tokenId }, ids)).toEqual([NOTHING]);
  expect(await seenBy({ token: tokenId }, ids)).toEqual([NOTHING]);
  for (const operation of ['tenant', 'mint'] as const) {
    expect(await seenBy({ tenant: lab.partner.id, token: tokenId }, ids, operation)).toEqual([]);
  }
  const run = await lab.start(source);
  expect(await seenBy({ tenant: lab.partner.id, token: run }, [source])).toMatchObject([{ sessions: 1, checks: 0 }]);
  await lab.revoke(run);
  expect(await seenBy({ tenant: lab.partner.id, token: run }, ids)).toEqual([NOTHING]);
});

it('takes no redemption of a token that is another’s, is closed, or is of another session than the token’s', async () => {
  const { source, tokenId } = await sharedBusiness();
  const secret = await lab.takeIn(userDocument());
  const closed = await lab.mint(source);
  await lab.database.pool.query(
    `update share_token set closed_at = now(), closed_as = 'revoked', closed_reason = 'issuer' where token_id = $1`,
    [closed.tokenId],
  );
  const { issuer, partner, third } = lab;
  const redeem = (tenant: string, of: { token: string; session: string; issuer: string; partner: string }) =>
    asRole(lab.database.pool, 'redeem', { tenant, token: of.token }, (client) =>
      client.query(REDEEM, [of.token, of.session, of.issuer, of.partner]),
    );
  const token = { token: tokenId, session: source, issuer: issuer.id, partner: partner.id };
  for (const [tenant, of] of [
    [third.id, token],
    // Its own name in the partner's place would burn the token.
    [third.id, { ...token, partner: third.id }],
    [issuer.id, { ...token, partner: issuer.id }],
    [partner.id, { ...token, session: secret }],
    [partner.id, { ...token, issuer: third.id }],
    [partner.id, { ...token, token: closed.tokenId }],
  ] as const) {
    await expect(redeem(tenant, of)).rejects.toThrow(/row-level security/);
  }
  expect((await redeem(partner.id, token)).rowCount).toBe(1);
});

it('takes no acknowledgement of a token by an application that is no side of it', async () => {
  const run = await lab.start(await lab.takeIn(userDocument()));
  const acknowledge = (tenant: string) =>
    rowsAs(
      lab.database.pool,
      'onboarding',
      { tenant, token: run },
      `insert into acknowledgement (acknowledgement_id, token_id, partner_id, accept, vendor_data_given, state, body_sha256, created_at)
       values (gen_random_uuid(), $1, $2, true, false, 'unspent', '', now()) returning 1`,
      [run, tenant],
    );
  await expect(acknowledge(lab.third.id)).rejects.toThrow(/row-level security/);
  expect(await acknowledge(lab.partner.id)).toHaveLength(1);
});

it.each(['relay', 'onboarding', 'redeem'] as const)(
  'lets nothing that has ended live again as %s',
  async (operation) => {
    const source = await lab.takeIn(userDocument());
    const revoked = await lab.start(source);
    await lab.revoke(revoked);
    const acting = { tenant: lab.issuer.id, token: revoked };
    const change = (text: string) => rowsAs(lab.database.pool, operation, acting, text, [revoked]);
    for (const text of [
      'update share_token set closed_at = null, closed_as = null, closed_reason = null where token_id = $1',
      `update share_token set closed_as = 'expired' where token_id = $1`,
      `update onboarding set ended_at = null, status = 'waiting' where token_id = $1`,
      `update onboarding set status = 'imported' where token_id = $1`,
    ]) {
      await expect(change(text)).rejects.toThrow('what has ended is not changed');
    }
  },
);

it('shows the run of an onboarding its own share and session, and no other', async () => {
  const [one, another] = [await lab.takeIn(userDocument()), await lab.takeIn(userDocument())];
  const [token, foreign] = [await lab.start(one), await lab.start(another)];
  const seen = (text: string, acting: Acting) => rowsAs(lab.database.pool, 'onboarding', acting, text);
  for (const [table, mine] of [
    ['onboarding', token],
    ['share_token', token],
    ['session', one],
    ['session_key', one],
  ] as const) {
    const key = table.startsWith('session') ? 'session_id' : 'token_id';
    expect(await seen(`select ${key} as id from ${table}`, { token })).toEqual([{ id: mine }]);
    expect(
      await seen(`select ${key} as id from ${table} where ${key} in ('${another}', '${foreign}')`, { token }),
    ).toEqual([]);
    expect(await seen(`select 1 from ${table}`, {})).toEqual([]);
  }
  await expect(seen('select 1 from session_check', { token })).rejects.toThrow(/permission denied/);
  const sides = await seen('select application_id as id from application order by 1', { token });
  expect(sides).toEqual([lab.issuer.id, lab.partner.id].toSorted().map((id) => ({ id })));
});
