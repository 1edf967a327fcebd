import { buildApp } from '../../src/http/app.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { testAppParts, testBlindIndex, testSealer } from './app-parts.ts';

/*
 * The app as a process of its own, with connections of little time (`LIMITS`, JSON): a test that plays two hundred slow
 * clients must not hold up the clock that they are measured by.
 */
const { DATABASE_URL: databaseUrl = '', PORT: port, LIMITS: limits = '{}' } = process.env;
const tenants = createTenants({ databaseUrl });
const app = buildApp({
  ...testAppParts(),
  tenants: handoffTenants(tenants, testSealer, testBlindIndex),
  shareTokenKeys: parseKeyRing(`test:${Buffer.alloc(32, 1).toString('base64url')}`),
  style: { businessStatusCase: 'upper' },
  webhookUrlRules: { allowHttp: false, allowedPorts: [], allowedCidrs: [] },
  logger: false,
  readiness: async () => ({ database: 'ok', migrations: 'ok', temporal: 'ok', search_attributes: 'ok' }),
  connectionLimits: JSON.parse(limits) as object,
});
await app.listen({ host: '127.0.0.1', port: Number(port) });
process.once('SIGTERM', () => process.exit(0));
