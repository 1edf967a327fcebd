import type { HandoffClient } from '../client.ts';
import { dispatchEvents } from '../postgres/deliveries.ts';
import { deliveryToRetry, forgetWishes, runToStart } from '../postgres/outbox.ts';
import type { Tenants, Wish } from '../postgres/tenants.ts';

export interface CarryOutTools {
  readonly tenants: Tenants;
  readonly client: Pick<
    HandoffClient,
    'startOnboarding' | 'signalOnboarding' | 'startWebhookDelivery' | 'startSessionImport' | 'startMediaFetch'
  >;
}

/**
 * Carries out one wish and takes its row away; safe to do twice. Rejects when Temporal or Postgres does not answer:
 * the row then stays for the relay.
 */
export async function carryOut(wish: Wish, tools: CarryOutTools): Promise<void> {
  const { tenants } = tools;
  if (wish.wish === 'dispatch') {
    // Takes its own row away.
    await tenants.acrossTenants('carry_out', (tx) => dispatchEvents(tx, { eventIds: [wish.subjectId] }));
    return;
  }
  if (await act(wish, tools)) {
    await tenants.acrossTenants('carry_out', async (tx) => forgetWishes(tx, [wish.outboxId]));
  }
}

/** Whether the wish is done with: carried out, or overtaken by an ending. */
async function act(wish: Wish, { tenants, client }: CarryOutTools): Promise<boolean> {
  switch (wish.wish) {
    case 'start': {
      const run = await tenants.acrossTenants('carry_out', (tx) => runToStart(tx, wish.subjectId));
      if (run !== null) await client.startOnboarding(run);
      return true;
    }
    case 'signal': {
      if (wish.tokenId === null || wish.signal === null) throw new Error('a signal names its run and itself');
      const { tokenId, signal, subjectId } = wish;
      if ((await client.signalOnboarding(tokenId, signal, subjectId)) === 'signalled') return true;
      // Not started yet, or over: a row that is still open waits for its run.
      return (await tenants.acrossTenants('carry_out', (tx) => runToStart(tx, tokenId))) === null;
    }
    case 'retry_delivery': {
      const run = await tenants.acrossTenants('carry_out', (tx) => deliveryToRetry(tx, wish.subjectId));
      if (run !== null) await client.startWebhookDelivery(run);
      return true;
    }
    case 'start_import':
      await client.startSessionImport(wish.subjectId);
      return true;
    case 'fetch_media':
      await client.startMediaFetch(wish.subjectId);
      return true;
    case 'dispatch':
      throw new Error('a dispatch needs no Temporal');
  }
}
