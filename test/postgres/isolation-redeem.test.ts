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
      'update session_check set payload = payload where session_id = $1',
    ]) {
      const changed = client.query(change, [source]);
      await changed.then(
        ({ rowCount }) => expect(rowCount).toBe(0),
        (error: Error) => expect(error.message).toMatch(/row-level security/),
      );
      await client.query('rollback to savepoint before');
    }
    expect((await client.query('delete from session where session_id = $1', [source])).rowCount).toBe(0);
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

it('takes no redemption of a token that is another’s, or of another session than the token’s', async () => {
  const { source, tokenId } = await sharedBusiness();
  const secret = await lab.takeIn(userDocument());
  const { issuer, partner, third } = lab;
  const redeem = (tenant: string, sessionId: string) =>
    asRole(lab.database.pool, 'redeem', { tenant, token: tokenId }, async (client) => {
      await client.query(REDEEM, [tokenId, sessionId, issuer.id, partner.id]);
      return (await client.query(WHAT, [[source, secret]])).rows as unknown[];
    });
  await expect(redeem(third.id, source)).rejects.toThrow(/row-level security/);
  expect(await redeem(partner.id, secret)).toMatchObject([{ sessions: 1, checks: 0, wrapped: 0 }]);
});

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
  await expect(seen('select 1 from session_check', { token })).resolves.toEqual([]);
  const sides = await seen('select application_id as id from application order by 1', { token });
  expect(sides).toEqual([lab.issuer.id, lab.partner.id].toSorted().map((id) => ({ id })));
});
