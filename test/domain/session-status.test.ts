import { describe, expect, it } from 'vitest';
import {
  FINISHED_STATUSES,
  isFinished,
  parseStatus,
  renderStatus,
  SESSION_STATUSES,
} from '../../src/domain/session-status.ts';

describe('session statuses', () => {
  it('are the ten of the contract', () => {
    expect(SESSION_STATUSES).toHaveLength(10);
    expect(new Set(SESSION_STATUSES).size).toBe(10);
  });

  it('may be shared in three of them only', () => {
    expect(SESSION_STATUSES.filter(isFinished).sort()).toEqual([...FINISHED_STATUSES].sort());
    expect(FINISHED_STATUSES).toEqual(['Approved', 'Declined', 'In Review']);
  });

  it.each(SESSION_STATUSES)('%s is read in both spellings', (status) => {
    expect(parseStatus(status)).toBe(status);
    expect(parseStatus(renderStatus('business', status))).toBe(status);
  });

  it.each(['', 'approved', 'In review', 'IN REVIEW', 'In_Review', ' Approved', 'Not Finished', 'constructor'])(
    '%j is no session status',
    (text) => {
      expect(parseStatus(text)).toBeNull();
    },
  );

  it('are UPPER_SNAKE for a business session, unless Title Case is asked for', () => {
    expect(renderStatus('business', 'In Review')).toBe('IN_REVIEW');
    expect(renderStatus('business', 'In Review', 'title')).toBe('In Review');
    expect(renderStatus('user', 'In Review', 'upper')).toBe('In Review');
  });
});
