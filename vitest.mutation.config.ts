import { defineConfig } from 'vitest/config';

/** The tests that mutations of the token, signatures, address guard and redemption are held against. */
export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    include: [
      'test/crypto/{share-token,webhook-signature,didit-signature}.test.ts',
      'test/webhooks/address-guard.test.ts',
      'test/sharing/{redeem,people,share-answer,acknowledge,stay-home,mint}.test.ts',
    ],
  },
});
