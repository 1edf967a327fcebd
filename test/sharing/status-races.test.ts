import { describe, expect, it } from 'vitest';
import { sessionLifeStore } from '../../src/postgres/session-life.ts';
import { changeStatus, type StatusChange } from '../../src/sharing/change-status.ts';
import { redeemShareToken } from '../../src/sharing/redeem.ts';
import { deadlocksOf, KID, refusalOf, shareLab, STYLE, userDocument, type LabBrand } from '../support/share-lab.ts';

const lab = shareLab();
const actor = { kind: 'api_key', id: 'key' } as const;
const REDO: StatusChange = {
  newStatus: 'Resubmitted',
  comment: null,
  nodes: [{ node_id: 'feature_ocr_1', feature: 'OCR' }],
};

/** A transaction's end that a test decides on. */
function gate(): { readonly reached: Promise<void>; readonly pass: Promise<void>; reach(): void; open(): void } {
  const reached = Promise.withResolvers<void>();
  const pass = Promise.withResolvers<void>();
  return { reached: reached.promise, pass: pass.promise, reach: reached.resolve, open: pass.resolve };
}

function change(sessionId: string, to: StatusChange, before?: ReturnType<typeof gate>): Promise<void> {
  const owner = lab.issuer;
  return lab.handoff.withTenant(owner.id, async (tx, sql) => {
    const call = { applicationId: owner.id, sessionId, readChange: () => to };
    await changeStatus(tx, sessionLifeStore(sql), call, actor, STYLE);
    before?.reach();
    await before?.pass;
  });
}

function redeem(tokenId: string, by: LabBrand, before?: ReturnType<typeof gate>) {
  return lab.handoff.withTenant(
    by.id,
    async (tx) => {
      const choice = { trustReview: true };
      const imported = await redeemShareToken(tx, { tokenId, kid: KID, partnerId: by.id, choice }, actor, STYLE);
      before?.reach();
      await before?.pass;
      return imported;
    },
    'redeem',
  );
}

const statusOf = async (sessionId: string) =>
  (await lab.rows<{ status: string }>('select status from session where session_id = $1', [sessionId]))[0]?.status;

/** Waits until somebody waits for a lock. */
async function someoneWaits(): Promise<void> {
  for (;;) {
    const [row] = await lab.rows<{ waiting: number }>(
      `select count(*)::int as waiting from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'`,
    );
    if ((row?.waiting ?? 0) > 0) return;
  }
}

describe('a status that changes while the session is being imported', () => {
  it('waits for an import that came first, which has the status before', async () => {
    const sessionId = await lab.takeIn(userDocument());
    const { tokenId } = await lab.mint(sessionId);
    const first = gate();
    const importing = redeem(tokenId, lab.partner, first);
    await first.reached;
    const changing = change(sessionId, REDO);
    await someoneWaits();
    first.open();
    const imported = await importing;
    await changing;
    expect(await statusOf(imported.sessionId)).toBe('Approved');
    expect(await statusOf(sessionId)).toBe('Resubmitted');
  });

  it('is seen by an import that came second', async () => {
    const sessionId = await lab.takeIn(userDocument());
    const { tokenId } = await lab.mint(sessionId);
    const first = gate();
    const changing = change(sessionId, REDO, first);
    await first.reached;
    const importing = refusalOf(redeem(tokenId, lab.partner));
    await someoneWaits();
    first.open();
    await changing;
    expect((await importing).code).toBe('source_not_shareable');
  });

  it('is either before or after, however they meet', async () => {
    for (let round = 0; round < 10; round += 1) {
      const sessionId = await lab.takeIn(userDocument({ status: 'In Review' }));
      const { tokenId } = await lab.mint(sessionId);
      const [imported] = await Promise.all([
        redeem(tokenId, lab.partner),
        change(sessionId, { newStatus: 'Approved', comment: 'yes', nodes: undefined }),
      ]);
      const reviews = imported.decision['reviews'] as unknown[];
      const status = await statusOf(imported.sessionId);
      expect([status, reviews.length]).toEqual(status === 'Approved' ? ['Approved', 1] : ['In Review', 0]);
    }
    expect(await deadlocksOf(lab.database.url)).toBe(0);
  });
});
