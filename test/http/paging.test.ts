import { expect, it } from 'vitest';
import { testApi } from './api.ts';
import { FOR_PEOPLE } from './people.ts';

const api = testApi(FOR_PEOPLE);

it.each([
  ['https', /^https:/],
  ['http', /^http:/],
  ['javascript', /^http:/],
  ['x:y', /^http:/],
])('links to neighbouring pages are http or https, also behind a proxy that says %s', async (said, scheme) => {
  const headers = { 'x-forwarded-proto': said, 'x-forwarded-host': 'api.aurora.example' };
  const { status, body } = await api.call(api.third, 'GET', '/v3/users/?offset=1', undefined, headers);
  expect(status).toBe(200);
  expect(body['previous']).toMatch(scheme);
  expect(body['previous']).toContain('//api.aurora.example/v3/users/?');
});
