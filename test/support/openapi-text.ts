import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { buildApp } from '../../src/http/app.ts';
import { openApiText } from '../../src/http/openapi/document.ts';
import type { DocumentedRoute } from '../../src/http/openapi/routes.ts';
import type { HandoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { testAppParts, testSealer } from './app-parts.ts';

/** The routes of a server as it is in production, without a database. */
export async function productionRoutes(): Promise<readonly DocumentedRoute[]> {
  const noDatabase = () => Promise.reject(new Error('the document is made without a database'));
  const tenants: HandoffTenants = { sealer: testSealer, withTenant: noDatabase, acrossTenants: noDatabase };
  const app = buildApp({
    ...testAppParts(),
    showCodes: false,
    tenants,
    shareTokenKeys: parseKeyRing(`document:${Buffer.alloc(32, 1).toString('base64url')}`),
    style: { businessStatusCase: 'upper' },
    webhookUrlRules: { allowHttp: false, allowedPorts: [], allowedCidrs: [] },
    readiness: noDatabase,
    logger: false,
  });
  await app.ready();
  const routes = app.documentedRoutes;
  await app.close();
  return routes;
}

/** The OpenAPI document as `docs/openapi.json` should hold it. */
export async function currentOpenApi(): Promise<string> {
  return openApiText(await productionRoutes());
}
