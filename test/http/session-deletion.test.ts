import { describe, expect, it } from 'vitest';
import { testApi, textOf } from './api.ts';
import { mint, takeIn } from './documents.ts';

const api = testApi();

describe('DELETE /v3/session/{id}/delete/', () => {
  it('deletes for good, in Didit’s shape, and answers 404 from then on', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const path = `/v3/session/${sessionId}/delete/`;
    expect(await api.call(api.third, 'DELETE', path)).toMatchObject({
      status: 404,
      body: { code: 'session_not_found' },
    });
    expect(await api.call(api.issuer, 'DELETE', path)).toMatchObject({
      status: 200,
      body: { session_id: sessionId, face_retention_outcome: 'none', biometric_template_uuid: null },
    });
    expect(await api.call(api.issuer, 'DELETE', path)).toMatchObject({
      status: 404,
      body: { code: 'session_not_found' },
    });
    expect((await api.call(api.issuer, 'GET', `/v3/session/${sessionId}/decision/`)).status).toBe(404);
  });

  it('of a source refuses its import, and of an import frees the pair but never the token', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const first = await mint(api, api.issuer, sessionId, api.partner);
    const importShared = (share_token: string) =>
      api.call(api.partner, 'POST', '/v3/session/import-shared/', {
        share_token,
        workflow_id: api.partner.workflows.user,
      });
    const imported = await importShared(first);
    expect(imported.status).toBe(201);
    const second = await mint(api, api.issuer, sessionId, api.partner);
    expect(await importShared(second)).toMatchObject({ status: 403, body: { code: 'already_imported' } });
    await api.call(api.partner, 'DELETE', `/v3/session/${textOf(imported, 'session_id')}/delete/`);
    expect(await importShared(first)).toMatchObject({ status: 403, body: { code: 'already_imported' } });
    expect((await importShared(second)).status).toBe(201);
    const third = await mint(api, api.issuer, sessionId, api.partner);
    await api.call(api.issuer, 'DELETE', `/v3/session/${sessionId}/delete/`);
    expect(await importShared(third)).toMatchObject({ status: 403, body: { code: 'already_imported' } });
    const other = await takeIn(api, api.issuer);
    const orphan = await mint(api, api.issuer, other, api.partner);
    await api.call(api.issuer, 'DELETE', `/v3/session/${other}/delete/`);
    expect(await importShared(orphan)).toMatchObject({ status: 404, body: { code: 'source_session_gone' } });
  });
});
