import { defineConfig } from 'vitest/config';

/** The tests that mutations of the token, signatures, address guard and redemption are held against. */
export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // A mutation shows in the first bodies, or in none.
    env: { SIGNED_BODIES: '50' },
    include: [
      'test/crypto/{share-token,webhook-signature,didit-signature}.test.ts',
      'test/webhooks/address-guard.test.ts',
      'test/sharing/{import-rules,redeem,people,share-answer,acknowledge,stay-home,data-keys}.test.ts',
      'test/postgres/clones.test.ts',
    ],
  },
});
