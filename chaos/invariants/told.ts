import { isDeepStrictEqual } from 'node:util';
import { decodeJwt } from 'jose';
import type { JsonObject } from '../../src/domain/json.ts';
import { ENDINGS, ONBOARDING_STATUSES } from '../../src/domain/onboarding.ts';
import { createCaller, isSuccess } from '../caller.ts';
import { endingProblems, importProblems, lostShares } from '../endings.ts';
import type { Invariant } from '../invariant.ts';
import type { Call } from '../ledger.ts';
import { serverUrls } from '../fleet.ts';
import { brandsById, finding } from '../oracle-reading.ts';
import { createRandom } from '../random.ts';
import { refusalProblem, sessionInPath } from '../refusals.ts';
import type { Rig } from '../rig.ts';
import { readStored, type Stored } from '../stored.ts';
import { decisionWish } from '../stories.ts';
import { redemptionProblems } from './redemptions.ts';

/** Sessions whose content is read again and compared; rows are looked up for all. */
const READ_AGAIN = { quick: 150, whole: 1_500 } as const;

/** I2. */
export const told: Invariant = {
  id: 'I2',
  says: 'what a client was told was done is so, and reads as it was told; what it was refused, or lost, has its ground',
  check: async (rig) => {
    const { calls } = rig.ledger;
    const successes = calls.filter(isSuccess);
    const refused = calls.filter((call) => call.status !== null && !isSuccess(call));
    const stored = await readStored(rig);
    const gone = deletions(calls);
    const breaks = [
      ...successes.flatMap((call) => problemOf(call, stored, gone)),
      ...refused.flatMap((call) => refusalProblem(call, stored) ?? []),
      ...endingProblems(calls, stored),
      ...importProblems(calls, stored),
      ...lostShares(calls, stored),
      ...(await redemptionProblems(rig, stored, gone)),
    ];
    const records = successes.filter(
      (call) => (call.wish === 'take-in' || call.wish === 'import') && !gone.has(sessionOf(call)),
    );
    const sample = createRandom(rig.seed)
      .shuffled(records)
      .slice(0, rig.quick ? READ_AGAIN.quick : READ_AGAIN.whole);
    breaks.push(...(await readAgain(rig, sample)));
    return finding(
      `${successes.length} successes, ${refused.length} refusals, ${sample.length} records read again`,
      breaks,
    );
  },
};

/** Sessions that somebody asked to delete: `true` once that was confirmed. */
function deletions(calls: readonly Call[]): ReadonlyMap<string, boolean> {
  const gone = new Map<string, boolean>();
  for (const call of calls) {
    if (call.wish !== 'delete') continue;
    const sessionId = sessionInPath(call);
    gone.set(sessionId, gone.get(sessionId) === true || isSuccess(call));
  }
  return gone;
}

const sessionOf = ({ body }: Call): string => String(body?.['session_id']);

function problemOf(call: Call, stored: Stored, gone: ReadonlyMap<string, boolean>): string[] {
  const body = call.body ?? {};
  switch (call.wish) {
    case 'take-in':
      return sessionProblem(call, stored, gone);
    case 'import': {
      const redeemed = stored.redemptions.get(call.tokenId ?? '')?.session;
      return redeemed === sessionOf(call)
        ? sessionProblem(call, stored, gone)
        : [`import of token ${call.tokenId} was told session ${sessionOf(call)}; stored is ${String(redeemed)}`];
    }
    case 'delete': {
      const sessionId = sessionInPath(call);
      return stored.sessions.has(sessionId) ? [`session ${sessionId} was told to be deleted, and is there`] : [];
    }
    case 'mint': {
      const { jti, session_id: session, for_application_id: partner } = decodeJwt(String(body['share_token']));
      const token = stored.tokens.get(String(jti));
      const [said, kept] = [`${String(session)} ${String(partner)}`, token && `${token.source} ${token.partner}`];
      return said === kept ? [] : [`token ${String(jti)} was told for ${said}; stored is ${String(kept)}`];
    }
    case 'onboard':
    case 'acknowledge':
    case 'decline':
    case 'revoke':
    case 'read-onboarding':
      return onboardingProblem(call.wish, body, stored);
    default:
      return [];
  }
}

function sessionProblem(call: Call, { sessions }: Stored, gone: ReadonlyMap<string, boolean>): string[] {
  const sessionId = sessionOf(call);
  const owner = sessions.get(sessionId);
  if (owner === call.as || (owner === undefined && gone.has(sessionId))) return [];
  return [`${call.wish}: session ${sessionId} was told to ${call.as}; stored is ${owner ?? 'none'}`];
}

/** A status goes only forward, and an ending is for ever. */
function onboardingProblem(wish: string, body: JsonObject, { onboardings }: Stored): string[] {
  const tokenId = String(body['token_id']);
  const stored = onboardings.get(tokenId);
  if (stored === undefined) return [`${wish}: onboarding ${tokenId} was told, and is not there`];
  const said = String(body['status']);
  const rank = (status: string) => (ONBOARDING_STATUSES as readonly string[]).indexOf(status);
  const ended = (ENDINGS as readonly string[]).includes(said);
  const same = said === stored.status && (body['imported_session_id'] ?? null) === stored.imported;
  if (ended ? same : rank(said) <= rank(stored.status)) return [];
  return [`${wish}: onboarding ${tokenId} was told ${said}; stored is ${stored.status}`];
}

/** The content of records, by the same API. */
async function readAgain(rig: Rig, records: readonly Call[]): Promise<string[]> {
  const brands = brandsById(rig);
  const urls = () => serverUrls(rig.fleet);
  const caller = createCaller(urls, { note: () => undefined });
  const breaks: string[] = [];
  for (const record of records) {
    const as = brands.get(record.as);
    if (as === undefined || record.body === null) continue;
    const { external_id: ours, ...expected } = record.body;
    const { status, body } = await caller.insist(decisionWish(as, sessionOf(record)));
    const differing = Object.keys(expected).filter((member) => !isDeepStrictEqual(body?.[member], expected[member]));
    if (differing.length > 0) {
      const id = `${sessionOf(record)}${typeof ours === 'string' ? ` (${ours})` : ''}`;
      breaks.push(`${record.wish}: session ${id} reads otherwise now (${status}): ${differing.join(', ')}`);
    }
  }
  return breaks;
}
