import type { Invariant } from '../invariant.ts';
import { finding } from '../oracle-reading.ts';

/** Not one of the eleven: a fault may cost time and a 503, and shows as nothing else. */
export const answers: Invariant = {
  id: 'answers',
  says: 'no client got an answer that what it did, or a fault, does not explain',
  check: ({ ledger }) => {
    const breaks = ledger.calls.flatMap(({ unexpected, wish, method, path, as }) =>
      unexpected === null ? [] : [`${wish} (${method} ${path}) by ${as}: ${unexpected}`],
    );
    const unanswered = ledger.calls.filter(({ status }) => status === null).length;
    const away = ledger.calls.filter(({ status }) => status === 503).length;
    return Promise.resolve(
      finding(`${ledger.calls.length} calls, ${unanswered} without an answer, ${away} answered 503`, breaks),
    );
  },
};
