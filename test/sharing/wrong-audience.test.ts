import { beforeAll, expect, it } from 'vitest';
import { Refusal } from '../../src/domain/failures.ts';
import { shareLab, userDocument, type LabBrand } from '../support/share-lab.ts';

const TRIES = 3_000;
const AT_ONCE = 8;

const lab = shareLab();
const brands: LabBrand[] = [];
beforeAll(async () => {
  for (let n = 0; n < 6; n += 1) brands.push(await lab.newBrand());
});

const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T;

interface Share {
  readonly tokenId: string;
  readonly issuer: LabBrand;
  readonly target: LabBrand;
}

it(`of ${TRIES} imports by any caller, those alone succeed whose caller is the token's target, each once`, async () => {
  const shares: Share[] = [];
  for (let n = 0; n < 60; n += 1) {
    const issuer = pick(brands);
    const target = pick(brands.filter((brand) => brand !== issuer));
    const sessionId = await lab.takeIn(userDocument(), issuer);
    const { tokenId } = await lab.mint(sessionId, { from: issuer, to: target });
    shares.push({ tokenId, issuer, target });
  }
  const imported = new Map<string, number>();
  const wrong: string[] = [];
  const attempt = async () => {
    const { tokenId, issuer, target } = pick(shares);
    const caller = pick(brands);
    try {
      await lab.redeem(tokenId, {}, caller);
      imported.set(tokenId, (imported.get(tokenId) ?? 0) + 1);
      if (caller !== target) wrong.push(`${tokenId} was imported by ${caller === issuer ? 'its issuer' : 'another'}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const expected = caller === target ? 'already_imported' : 'share_token_not_for_this_application';
      if (error.code !== expected) wrong.push(`${tokenId} was refused as ${error.code}, not ${expected}`);
    }
  };
  let left = TRIES;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while ((left -= 1) >= 0) await attempt();
    }),
  );
  expect(wrong).toEqual([]);
  expect(imported.size).toBeGreaterThan(50);
  expect(new Set(imported.values())).toEqual(new Set([1]));
  const clones = await lab.rows<{ partner: string; application: string }>(
    `select t.partner_id as partner, s.application_id as application from redemption r
     join share_token t using (token_id) join session s on s.session_id = r.session_id`,
  );
  expect(clones).toHaveLength(imported.size);
  expect(clones.every(({ partner, application }) => partner === application)).toBe(true);
});
