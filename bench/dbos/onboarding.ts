import { DBOS } from '@dbos-inc/dbos-sdk';
import { dispatchEvents } from '../../src/postgres/deliveries.ts';
import type { HandoffTenants } from '../../src/postgres/handoff-tenants.ts';
import type { DecisionStyle } from '../../src/sharing/decision.ts';
import { mintForOnboarding } from '../../src/sharing/mint.ts';
import { importForOnboarding } from '../../src/sharing/redeem.ts';
import { importWithKeys } from '../../src/sharing/share-keys.ts';
import { attemptDelivery, type AttemptTools } from '../../src/webhooks/attempt-delivery.ts';
import type { TokenDeliveryLedger } from '../../src/webhooks/ports.ts';

/** The topic of the partner's word. */
export const WORD = 'word';

/** What its steps stand on: the same verbs, ledger and sender as ours. */
export interface DbosOnboardingDeps {
  readonly tenants: HandoffTenants;
  readonly ledger: TokenDeliveryLedger;
  readonly tools: AttemptTools;
  readonly style: DecisionStyle;
}

/** The steps of `PartnerOnboarding` up to an import, each a step of DBOS; the workflow's id is the token id. */
export function dbosOnboarding(deps: DbosOnboardingDeps): (tokenId: string) => Promise<string> {
  const { tenants, ledger, tools, style } = deps;

  const mint = (tokenId: string) => tenants.acrossTenants('onboarding', (tx) => mintForOnboarding(tx, tokenId, 1));

  async function deliver(tokenId: string): Promise<number> {
    const round = await ledger.begin(tokenId, 1);
    if (!round.open) return 0;
    const limits = { maxAttempts: round.withToken ? Infinity : 1 };
    const records = await Promise.all(round.deliveries.map((delivery) => attemptDelivery(delivery, tools, limits)));
    const { delivered, pending } = await ledger.finish(tokenId, { withToken: round.withToken, attempt: 1 }, records);
    if (delivered === 0 && pending > 0) throw new Error('no destination has answered yet');
    return delivered;
  }

  const importSession = (tokenId: string) =>
    importWithKeys(
      () => tenants.acrossTenants('redeem', (tx) => importForOnboarding(tx, tokenId, 1, style)),
      (work) => tenants.acrossTenants('onboarding', (tx) => work(tx)),
    );

  const notify = (tokenId: string) =>
    tenants.acrossTenants('relay', async (tx, sql) => {
      tx.onboardings.lock(tokenId);
      tx.onboardings.endStep(tokenId, 'notify', 'notified', 1);
      await dispatchEvents(sql, { tokenId });
    });

  async function partnerOnboarding(tokenId: string): Promise<string> {
    const minted = await DBOS.runStep(() => mint(tokenId), { name: 'mint', ...TRIES });
    if (minted.state === 'ended') return 'ended';
    const delivered = DBOS.runStep(() => deliver(tokenId), { name: 'deliver', ...TRIES });
    if (minted.acceptance !== 'automatic') {
      await delivered;
      await DBOS.recv(WORD, { timeoutSeconds: minted.remainingMs / 1_000 });
    }
    const answer = await DBOS.runStep(() => importSession(tokenId), { name: 'import', ...TRIES });
    await DBOS.runStep(() => notify(tokenId), { name: 'notify', ...TRIES });
    await delivered;
    return answer.state;
  }
  return DBOS.registerWorkflow(partnerOnboarding, { name: 'partnerOnboarding' });
}

const TRIES = { retriesAllowed: true, maxAttempts: 10, intervalSeconds: 0.2 };
