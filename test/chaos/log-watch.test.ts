import { describe, expect, it } from 'vitest';
import { isUnexpected } from '../../chaos/log-watch.ts';

const line = (entry: object) => JSON.stringify({ time: 1, pid: 2, name: 'server', ...entry });

describe('a line of a log', () => {
  it.each([
    ['an answer of 500', line({ level: 30, status: 500, msg: 'answered' })],
    ['a mistake in a worker', line({ level: 50, error: 'TypeError', msg: 'relay: will try again' })],
    ['a mistake in a server', line({ level: 50, fault: { type: 'ReferenceError' }, msg: 'request failed' })],
    ['a refused permission', line({ level: 50, error: 'DatabaseError', code: '42501', msg: 'activity failed' })],
    ['a column that is not there', line({ level: 50, fault: { type: 'DatabaseError', code: '42703' }, msg: 'x' })],
    ['non-determinism', line({ level: 50, msg: '[TMPRL1100] Nondeterminism error: …' })],
    ['the end of a process', 'Uncaught Error: what now'],
    ['a frame of a stack', '    at run (file:///src/worker.ts:1:2)'],
  ])('that tells of %s should not be there', (_what, text) => {
    expect(isUnexpected(text)).toBe(true);
  });

  it.each([
    ['an outage', line({ level: 50, error: 'DatabaseError', code: '57P01', msg: 'relay: will try again' })],
    ['an answer of 503', line({ level: 30, status: 503, msg: 'answered' })],
    ['a request that failed by an outage', line({ level: 50, fault: { type: 'Error', code: 'ECONNRESET' }, msg: 'x' })],
    ['a deadlock', line({ level: 50, error: 'DatabaseError', code: '40P01', msg: 'relay: will try again' })],
    ['a full disk', line({ level: 50, fault: { type: 'DatabaseError', code: '53100' }, msg: 'request failed' })],
    [
      'a database that does not know yet',
      line({ level: 40, fault: { type: 'DatabaseError', code: '42P01' }, msg: 'x' }),
    ],
    ['a Temporal that is away', line({ level: 50, error: 'ServiceError', code: '14', msg: 'x' })],
    ['nothing', ''],
    ['an entry that a kill cut short', '{"level":30,"time":17'],
  ])('that tells of %s may be', (_what, text) => {
    expect(isUnexpected(text)).toBe(false);
  });
});
