import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, it } from 'vitest';
import { fetchMediaActivity } from '../../src/activities/fetch-media.ts';
import type { MediaFetchLedger } from '../../src/activities/ports.ts';

it('fetches the files of twenty sessions at once, and sends the others away for some seconds', async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const nobody = () => Promise.reject(new Error('there is no file'));
  const ledger: MediaFetchLedger = {
    forgetUnwanted: () => held,
    claim: () => Promise.resolve(null),
    nextDueInMs: () => Promise.resolve(null),
    fetched: nobody,
    missed: nobody,
  };
  const activities = fetchMediaActivity({
    ledger,
    getter: { get: nobody, close: () => Promise.resolve() },
    store: nobody,
  });
  const fetch = (sessionId: string) =>
    new MockActivityEnvironment().run((ref) => activities.fetchSessionFiles(ref), { sessionId });
  const twenty = Array.from({ length: 20 }, (_, index) => fetch(String(index)));
  const away = await fetch('one too many');
  expect(away).toEqual({ ended: false, retryInMs: expect.any(Number) });
  expect(away).not.toHaveProperty('retryInMs', 0);
  release();
  expect(await Promise.all(twenty)).toEqual(twenty.map(() => ({ ended: true })));
  expect(await fetch('one too many')).toEqual({ ended: true });
});
