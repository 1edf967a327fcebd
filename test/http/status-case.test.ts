import { expect, it } from 'vitest';
import { testApi } from './api.ts';
import { businessDocument, mint, takeIn, userDocument } from './documents.ts';

const api = testApi({ style: { businessStatusCase: 'title' } });

it.each([
  [userDocument(), 'Approved', 'In Review'],
  [businessDocument(), 'Approved', 'In Review'],
  [businessDocument({ status: 'Approved' }), 'Approved', 'In Review'],
])('writes every status in Title Case when so configured', async (document, own, imported) => {
  const sessionId = await takeIn(api, api.issuer, document);
  expect((await api.call(api.issuer, 'GET', `/v3/session/${sessionId}/decision/`)).body).toMatchObject({ status: own });
  const answer = await api.call(api.partner, 'POST', '/v3/session/import-shared/', {
    share_token: await mint(api, api.issuer, sessionId, api.partner),
  });
  expect(answer.body).toMatchObject({ status: imported });
});
