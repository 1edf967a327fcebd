import { randomUUID } from 'node:crypto';
import { beforeAll, expect, it } from 'vitest';
import { productionRoutes } from '../support/openapi-text.ts';
import { testApi } from './api.ts';
import { holdingsOf } from './holdings.ts';

const GUESSES = 10_000;
/** Under way at once. */
const TOGETHER = 50;

const api = testApi();
beforeAll(() => holdingsOf(api, api.third, api.partner));

it('ten thousand guessed ids find nothing, whichever route is asked', async () => {
  const routes = (await productionRoutes()).filter(
    // What is no JSON is another test's.
    ({ needs, url, contract }) => typeof needs === 'object' && url.includes(':') && contract.bodyType === undefined,
  );
  expect(routes.length).toBeGreaterThan(30);
  const found = new Set<string>();
  const guess = async (nth: number) => {
    const route = routes[nth % routes.length];
    if (route === undefined) return;
    const { method, url, contract } = route;
    const body = contract.examples?.body;
    const since = url.endsWith('/missed/') ? `?since=${new Date().toISOString()}` : '';
    const { statusCode } = await api.app.inject({
      method: method as 'GET',
      url: url.replaceAll(/:[a-z_]+/g, () => randomUUID()) + since,
      headers: { 'x-api-key': api.issuer.key },
      ...(body !== undefined && { payload: body as object }),
    });
    if (statusCode !== 404) found.add(`${method} ${url}: ${statusCode}`);
  };
  for (let done = 0; done < GUESSES; done += TOGETHER) {
    await Promise.all(Array.from({ length: TOGETHER }, (_, index) => guess(done + index)));
  }
  expect([...found]).toEqual([]);
});
