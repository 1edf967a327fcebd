import { setTimeout as pause } from 'node:timers/promises';
import { CONNECTION_LIMITS } from '../../src/http/connection-limits.ts';
import { quantile, startApi, timeCalls } from '../api-server.ts';
import { same, within, type Part } from '../part.ts';
import { gatherCrowd } from '../slow-crowd.ts';

const CROWD = 2_000;
/** With arrival and settling less than heads may take. */
const ROUND_MS = 4_000;
const SETTLE_MS = 1_000;
/** Those of the database and of Temporal, and the callers'. */
const OWN_CONNECTIONS = 40;

/** What two thousand connections that drip, stall and never read cost everybody else, and that they end (security.md 14). */
export const slowClients: Part = {
  name: 'slow',
  shows: `${CROWD.toLocaleString('en')} slow connections: what normal calls lose, what they cost, and that each ends`,
  run: async (lab) => {
    const api = await startApi(lab);
    const [normal, slow] = [await api.field.application(), await api.field.application()];
    const call = () => api.get(normal.apiKey);
    // The first calls compile code and open connections.
    await timeCalls(call, ROUND_MS);
    const times: { alone: number[]; beside: number[] } = { alone: [], beside: [] };
    let failed = 0;
    const before = api.memory();
    let most = before;
    let fewest = Infinity;
    const rounds = lab.quick ? 3 : 6;
    for (let round = 1; round <= rounds; round += 1) {
      const alone = await timeCalls(call, ROUND_MS);
      const crowd = await gatherCrowd(api.port, slow.apiKey, CROWD);
      await pause(SETTLE_MS);
      fewest = Math.min(fewest, api.connections());
      const beside = await timeCalls(call, ROUND_MS);
      most = Math.max(most, api.memory());
      await crowd.leave();
      await pause(SETTLE_MS);
      times.alone.push(...alone.times);
      times.beside.push(...beside.times);
      failed += alone.failed + beside.failed;
      const [a, b] = [quantile(alone.times, 0.99), quantile(beside.times, 0.99)];
      lab.say(`Round ${round} of ${rounds}: p99 ${a.toFixed(1)} ms alone, ${b.toFixed(1)} ms beside the crowd`);
    }
    const [alone, beside] = [quantile(times.alone, 0.99), quantile(times.beside, 0.99)];
    const ratio = beside / alone;

    const crowd = await gatherCrowd(api.port, slow.apiKey, CROWD);
    const { idleMs, silentMs, lookEveryMs, headersMs } = CONNECTION_LIMITS;
    // A head is closed at the look after its time; whatever moved in the last moment is given its time again.
    const wait = lab.quick ? headersMs + lookEveryMs : Math.max(idleMs, 2 * silentMs) + lookEveryMs;
    lab.say(`Waiting ${Math.round(wait / 1_000)} s for slow connections to be closed`);
    await pause(wait + 5_000);
    const left = api.connections();
    const statuses = await crowd.statuses();
    await crowd.leave();
    return [
      within('slow connections at a time', fewest, [CROWD, CROWD + OWN_CONNECTIONS]),
      within('normal calls in all', times.alone.length + times.beside.length, [500, Infinity]),
      same('normal calls that were not answered 200', failed, 0),
      { what: 'p99 of normal calls alone', expected: 'measured', seen: `${alone.toFixed(1)} ms`, ok: true },
      { what: 'p99 beside the crowd', expected: 'measured', seen: `${beside.toFixed(1)} ms`, ok: true },
      { what: 'one by the other', expected: '< 2 ×', seen: `${ratio.toFixed(2)} ×`, ok: ratio < 2 },
      within('memory that the crowd takes', most - before, [-100, 300], ' MiB'),
      within('dripping heads and bodies that were answered 408', statuses.get(408) ?? 0, [0.4 * CROWD, 0.8 * CROWD]),
      lab.quick
        ? within('connections left after the time of heads', left, [0, 0.6 * CROWD + OWN_CONNECTIONS])
        : within('connections left after all times', left, [0, OWN_CONNECTIONS]),
    ];
  },
};
