import { quantile, startApi, timeCalls } from '../api-server.ts';
import { same, within, type Part } from '../part.ts';

const LIMIT = 600;
const FLOOD_MS = 8_000;
const CALM_PAUSE_MS = 25;

/** A key that calls as fast as it can is told when to come back, and another key's calls go on (security.md 14). */
export const floods: Part = {
  name: 'floods',
  shows: 'one key far beyond its limit: what it is answered, and what another key loses',
  run: async (lab) => {
    const api = await startApi(lab, { RATE_LIMIT_READS: String(LIMIT) });
    const [calm, flooding] = [await api.field.application(), await api.field.application()];
    const calmly = async () => {
      await new Promise((resolve) => setTimeout(resolve, CALM_PAUSE_MS));
      return api.get(calm.apiKey);
    };
    await timeCalls(() => api.get(flooding.apiKey, '/healthz'), 1_000);
    const statuses = new Map<number, number>();
    let untold = 0;
    const flood = async () => {
      const answer = await api.get(flooding.apiKey);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      const told = ['retry-after', 'x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'];
      if (answer.status === 429 && !told.every((name) => answer.headers.has(name))) untold += 1;
      return answer;
    };
    // Both together stay below the limit.
    const alone = await timeCalls(calmly, FLOOD_MS / 2, 1);
    const before = api.memory();
    const [beside] = await Promise.all([timeCalls(calmly, FLOOD_MS, 1), timeCalls(flood, FLOOD_MS, 64)]);
    const grown = api.memory() - before;
    const [taken, refused] = [statuses.get(200) ?? 0, statuses.get(429) ?? 0];
    const others = [...statuses.values()].reduce((sum, count) => sum + count, 0) - taken - refused;
    return [
      // The flood may reach into a second minute.
      within('calls of the flood that were taken', taken, [1, 2 * LIMIT]),
      within('calls of the flood that were 429', refused, [LIMIT, Infinity]),
      same('other answers to the flood', others, 0),
      same('429 without Retry-After and X-RateLimit-*', untold, 0),
      within('calls of the other key, all 200', beside.times.length, [20, Infinity]),
      same('calls of the other key that were not 200', alone.failed + beside.failed, 0),
      {
        // The flood itself is made on the same cores.
        what: 'p99 of the other key, alone and beside the flood',
        expected: 'measured',
        seen: [alone, beside].map(({ times }) => `${(quantile(times, 0.99) - CALM_PAUSE_MS).toFixed(1)} ms`).join(', '),
        ok: true,
      },
      within('memory that the flood takes', grown, [-200, 200], ' MiB'),
    ];
  },
};
