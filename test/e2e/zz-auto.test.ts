import { expect, test } from 'vitest';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();
test('auto', async () => {
  const { brands, issuer } = stack;
  for (let i = 0; i < 40; i += 1) {
    const partner = await brands.add();
    await brands.connect(issuer, partner, { acceptance: 'automatic', trust_review: true });
    const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
    const types = () => partner.endpoint.received.map(({ type }) => type).sort();
    try {
      await expect.poll(types, { timeout: 3000 }).toEqual(['share.imported', 'share.received', 'status.updated']);
    } catch {
      const { rows } = await stack.database.pool.query(`select e.type, d.* from event e left join delivery d using (event_id) where e.token_id=$1`, [tokenId]);
      console.log(i, types(), rows.map((r) => [r.type, r.state, r.attempts, r.owner, r.created_at]), JSON.stringify((await brands.read(issuer, tokenId))['steps']));
    }
  }
}, 300_000);
