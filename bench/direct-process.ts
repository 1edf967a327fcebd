import { connectHandoffClient } from '../src/client.ts';
import { readServerConfig } from '../src/config.ts';
import { createBlindIndex } from '../src/crypto/blind-index.ts';
import { createSealer } from '../src/crypto/payload-seal.ts';
import { handoffTenants } from '../src/postgres/handoff-tenants.ts';
import { newId } from '../src/postgres/new-id.ts';
import { createTenants } from '../src/postgres/tenants.ts';
import { actNow } from '../src/relay/act-now.ts';
import { mintShareToken } from '../src/sharing/mint.ts';
import { redeemShareToken } from '../src/sharing/redeem.ts';
import { importWithKeys } from '../src/sharing/share-keys.ts';
import type { DirectOutcome, DirectWork } from './direct.ts';
import { inFlight } from './in-flight.ts';

// What the server puts together in `startServer`, less HTTP, keys of callers, limits and tokens.
const config = readServerConfig(process.env);
if ('problems' in config) throw new Error(config.problems.join('\n'));
const client = connectHandoffClient();
const act = actNow(
  () => ({ tenants, client }),
  (error) => console.error('Dispatching:', error),
);
const tenants = createTenants({
  databaseUrl: config.databaseUrl,
  maxConnections: config.databaseConnections,
  afterCommit: act.afterCommit,
});
const sealer = createSealer({ content: config.contentEncryptionKeys, secrets: config.keyEncryptionKeys });
const handoff = handoffTenants(tenants, sealer, createBlindIndex(config.blindIndexKey));
const style = { businessStatusCase: config.businessStatusCase };
const actorOf = (applicationId: string) =>
  ({ kind: 'api_key', id: 'direct', applicationId, requestId: newId() }) as const;

async function carryOut(work: DirectWork): Promise<DirectOutcome> {
  if (work.verb === 'mint') {
    const { results, ...timing } = await inFlight(work.orders, work.atATime, (order) =>
      handoff.withTenant(order.issuerId, (tx) => mintShareToken(tx, order, actorOf(order.issuerId)), 'mint'),
    );
    return { ...timing, minted: results };
  }
  const { seconds, latencies } = await inFlight(work.calls, work.atATime, async (call) => {
    const redeem = () =>
      handoff.withTenant(call.partnerId, (tx) => redeemShareToken(tx, call, actorOf(call.partnerId), style), 'redeem');
    await importWithKeys(redeem, (wrap) => handoff.acrossTenants('onboarding', wrap));
  });
  return { seconds, latencies, minted: [] };
}

process.on('message', (work: DirectWork) => {
  carryOut(work).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => process.send?.({ failed: String((error as Error).stack ?? error) }),
  );
});
process.on('disconnect', () => {
  void (async () => {
    await act.idle();
    await client.close();
    await tenants.close();
  })();
});
