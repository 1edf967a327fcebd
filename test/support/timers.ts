import type { History } from '@temporalio/common/lib/proto-utils.js';

/** The waits that a run asked the server for, in milliseconds, and how many of them were cut short. */
export function timersOf(history: History): { readonly waits: number[]; readonly cutShort: number } {
  const events = history.events ?? [];
  return {
    waits: events.flatMap(({ timerStartedEventAttributes: timer }) => {
      if (timer == null) return [];
      const { seconds, nanos } = timer.startToFireTimeout ?? {};
      return [Number(seconds ?? 0) * 1_000 + (nanos ?? 0) / 1e6];
    }),
    cutShort: events.filter(({ timerCanceledEventAttributes: cancelled }) => cancelled != null).length,
  };
}
