import { describe, expect, it } from 'vitest';
import { takeInManyFacts } from '../../src/postgres/session-contents.ts';
import { lockOpenImports } from '../../src/postgres/session-imports.ts';
import { sessionStore } from '../../src/postgres/sessions.ts';
import type { Transaction } from '../../src/postgres/tenants.ts';
import { shareLab } from '../support/share-lab.ts';

const lab = shareLab();
type Work = (tx: Transaction, applicationId: string) => Promise<unknown>;

/** Whether a transaction of this application waits for one of the issuer that is not committed yet. */
async function waits(earlier: Work, later: Work, applicationId = lab.issuer.id): Promise<boolean> {
  const [began, committed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const first = lab.tenants.withTenant(lab.issuer.id, async (tx) => {
    await earlier(tx, lab.issuer.id);
    began.resolve();
    await committed.promise;
  });
  await Promise.race([first, began.promise]);
  const second = lab.tenants.withTenant(applicationId, (tx) => later(tx, applicationId)).then(() => false);
  const waited = await Promise.race([second, lab.waiting(1).then(() => true)]);
  committed.resolve();
  await Promise.all([first, second]);
  return waited;
}

describe('whoever opens an import', () => {
  it('waits for others of its application who do, so that together they open no more than may be', async () => {
    expect(await waits(lockOpenImports, lockOpenImports)).toBe(true);
  });

  it('does not wait for other applications', async () => {
    expect(await waits(lockOpenImports, lockOpenImports, lab.partner.id)).toBe(false);
  });
});

describe('whoever takes in an external id', () => {
  const many =
    (...ids: string[]): Work =>
    (tx, applicationId) =>
      takeInManyFacts(tx, applicationId, ids);
  const one =
    (id: string): Work =>
    (tx, applicationId) =>
      sessionStore(tx).takeInFacts(applicationId, id);

  it.each<[string, Work, Work, boolean]>([
    ['two files with one in common', many('a', 'b'), many('c', 'b'), true],
    ['two files with none in common', many('a', 'b'), many('c', 'd'), false],
    ['a session after a file', many('a', 'b'), one('b'), true],
    ['a file after a session', one('b'), many('a', 'b'), true],
    ['two sessions of one', one('a'), one('a'), true],
    ['two sessions of their own', one('a'), one('b'), false],
  ])('waits for whoever does so already: %s', async (_name, earlier, later, waited) => {
    expect(await waits(earlier, later)).toBe(waited);
  });

  it('does not wait for other applications', async () => {
    expect(await waits(many('a'), many('a'), lab.partner.id)).toBe(false);
  });
});
