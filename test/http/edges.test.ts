import { expect, it } from 'vitest';
import { testApi } from './api.ts';
import { userDocument } from './documents.ts';

const api = testApi();
const agreement = {
  reference: 'DSA-1',
  document_sha256: 'a'.repeat(64),
  legal_basis: 'contract',
  purpose: 'onboarding',
  signer: 'A. Signer',
};

it.each(['0000-01-01', '2026-02-30', '26-01-01'])('refuses the day %s with its field', async (signed_on) => {
  const before = await api.rows();
  const body = { partner_application_id: api.partner.id, agreement: { ...agreement, signed_on } };
  expect(await api.call(api.issuer, 'POST', '/v1/connections/', body)).toMatchObject({
    status: 400,
    body: { code: 'invalid_request' },
  });
  expect(await api.rows()).toEqual(before);
});

it.each([
  ['an empty vendor_data', { vendor_data: '' }, 'vendor_data'],
  ['a time that leaves the four-digit years', { created_at: '9999-12-31T23:59:59-15:59' }, 'created_at'],
])('refuses to take in %s', async (_what, more, field) => {
  const answer = await api.call(api.issuer, 'POST', '/v1/sessions/', userDocument(more));
  expect(answer.status).toBe(400);
  expect(answer.body).toHaveProperty(field);
});

it('refuses a number beyond all bounds instead of storing null', async () => {
  const text = JSON.stringify(userDocument({ metadata: { score: 'HERE' } })).replace('"HERE"', '1e400');
  const answer = await api.app.inject({
    method: 'POST',
    url: '/v1/sessions/',
    headers: { 'x-api-key': api.issuer.key, 'content-type': 'application/json' },
    payload: text,
  });
  expect(answer.statusCode).toBe(400);
  expect(answer.json()).toHaveProperty(['metadata.score']);
});
