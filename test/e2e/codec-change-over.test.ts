import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { connectHandoffClient, temporalNamespace } from '../../src/client.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createTemporalCodec } from '../../src/crypto/temporal-codec.ts';
import { NEVER_ENCRYPTED, payloadsOf } from '../support/payloads.ts';
import { expectNoFailedTask, untilEnded } from '../support/runs.ts';
import { handoffStack } from '../support/stack.ts';

const keys = `k1:${randomBytes(32).toString('base64url')}`;
// Its server stays as it was: processes are restarted one after the other.
const stack = handoffStack();

test('a run of before the codec goes on under it, encrypted from then on, while plain payloads are accepted', async () => {
  const { brands, issuer } = stack;
  const partner = await brands.add();
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  await partner.endpoint.heard('share.received', tokenId);
  await expect.poll(async () => (await stack.handoff.queryOnboarding(tokenId)).status).toBe('waiting');
  const codec = { TEMPORAL_CODEC_KEYS: keys, TEMPORAL_CODEC_ACCEPT_PLAIN: 'true' };
  for (const role of ['onboarding', 'webhooks'] as const) {
    await stack.stopWorker(role);
    await stack.startWorker(role, codec);
  }
  // By a server that does not encrypt yet.
  expect((await brands.acknowledge(partner, tokenId)).status).toBe(200);
  expect(await untilEnded(brands, issuer, tokenId)).toMatchObject({ status: 'imported' });

  const options = { keys: parseKeyRing(keys), namespace: temporalNamespace(), acceptPlain: true };
  const client = connectHandoffClient({ codec: createTemporalCodec(options) });
  try {
    const run = client.temporal.workflow.getHandle(tokenId);
    expect(await run.result()).toMatchObject({ status: 'imported', reason: null });
    const history = await run.fetchHistory();
    expectNoFailedTask(history);
    const payloads = payloadsOf(history).filter(({ path }) => !NEVER_ENCRYPTED.test(path));
    const encodings = payloads.map(({ encoding }) => encoding);
    expect(encodings[0]).toBe('json/plain');
    expect(encodings.at(-1)).toBe('binary/encrypted');
  } finally {
    await client.close();
  }
});
