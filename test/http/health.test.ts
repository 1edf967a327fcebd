import { describe, expect, it } from 'vitest';
import { askReadiness, type Readiness } from '../../src/http/readiness.ts';
import { testApi } from './api.ts';

const WELL: Readiness = { database: 'ok', migrations: 'ok', temporal: 'ok', search_attributes: 'ok' };
let state: Readiness = WELL;
const api = testApi({ readiness: () => Promise.resolve(state) });

describe('health', () => {
  it('says without a key that the process lives', async () => {
    expect(await api.call(null, 'GET', '/healthz')).toMatchObject({ status: 200, body: { status: 'ok' } });
  });

  it.each<[Partial<Readiness>, number, string]>([
    [{}, 200, 'ok'],
    [{ database: 'does not answer' }, 503, 'unavailable'],
    [{ migrations: 'missing 0001' }, 503, 'unavailable'],
    [{ temporal: 'does not answer', search_attributes: 'unknown' }, 200, 'degraded'],
    [{ search_attributes: 'missing HandoffStatus' }, 200, 'degraded'],
  ])('with %j answers %i %s', async (wrong, status, word) => {
    state = { ...WELL, ...wrong };
    expect(await api.call(null, 'GET', '/readyz')).toMatchObject({ status, body: { status: word, checks: state } });
  });
});

describe('askReadiness', () => {
  const well = {
    database: () => Promise.resolve(),
    pendingMigrations: () => Promise.resolve([]),
    temporal: () => Promise.resolve(),
    missingSearchAttributes: () => Promise.resolve([]),
  };

  it('names what is missing', async () => {
    expect(await askReadiness(well)).toEqual(WELL);
    expect(
      await askReadiness({
        ...well,
        pendingMigrations: () => Promise.resolve(['0001_handoff', '0002_more']),
        missingSearchAttributes: () => Promise.resolve(['HandoffStatus']),
      }),
    ).toMatchObject({
      migrations: expect.stringContaining('0001_handoff, 0002_more'),
      search_attributes: expect.stringContaining('HandoffStatus'),
    });
  });

  it('tells no secret of what fails, and waits for nothing for ever', async () => {
    const answer = await askReadiness({
      ...well,
      database: () => Promise.reject(new Error('password authentication failed for secret-user')),
      temporal: () => new Promise(() => {}),
    });
    expect(answer.database).not.toContain('secret-user');
    expect(answer.database).not.toBe('ok');
    expect(answer.temporal).not.toBe('ok');
  });
});
