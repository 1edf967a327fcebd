import { isDeepStrictEqual } from 'node:util';
import type { JsonObject } from '../../src/domain/json.ts';
import { ENDINGS, ONBOARDING_STATUSES } from '../../src/domain/onboarding.ts';
import { createCaller, isSuccess } from '../caller.ts';
import type { Invariant } from '../invariant.ts';
import type { Call } from '../ledger.ts';
import { brandsById, finding, readRows } from '../oracle-reading.ts';
import { createRandom } from '../random.ts';
import type { Rig } from '../rig.ts';
import { decisionWish } from '../stories.ts';

/** Sessions whose content is read again and compared; rows are looked up for all. */
const READ_AGAIN = { quick: 150, whole: 1_500 } as const;

/** I2. */
export const told: Invariant = {
  id: 'I2',
  says: 'everything that a client was told was done is readable, and equals what it was told',
  check: async (rig) => {
    const successes = rig.ledger.calls.filter(isSuccess);
    const facts = await readFacts(rig);
    const gone = deletions(rig.ledger.calls);
    const breaks = successes.flatMap((call) => problemOf(call, facts, gone));
    const records = successes.filter(
      (call) => (call.wish === 'take-in' || call.wish === 'import') && !gone.has(sessionOf(call)),
    );
    const sample = createRandom(rig.seed)
      .shuffled(records)
      .slice(0, rig.quick ? READ_AGAIN.quick : READ_AGAIN.whole);
    breaks.push(...(await readAgain(rig, sample)));
    return finding(`${successes.length} successes, ${sample.length} records read again`, breaks);
  },
};

interface Facts {
  /** Owner of each session. */
  readonly sessions: ReadonlyMap<string, string>;
  readonly tokens: ReadonlyMap<string, string>;
  /** Session that came of each token. */
  readonly redemptions: ReadonlyMap<string, string>;
  readonly onboardings: ReadonlyMap<string, { readonly status: string; readonly imported: string | null }>;
}

async function readFacts(rig: Rig): Promise<Facts> {
  const pairs = async (sql: string) =>
    new Map((await readRows<{ id: string; of: string }>(rig, sql)).map(({ id, of }) => [id, of]));
  const onboardings = await readRows<{ id: string; status: string; imported: string | null }>(
    rig,
    'select token_id as id, status, imported_session_id as imported from onboarding',
  );
  return {
    sessions: await pairs('select session_id as id, application_id as of from session'),
    tokens: await pairs(`select token_id as id, session_id || ' ' || partner_id as of from share_token`),
    redemptions: await pairs('select token_id as id, session_id as of from redemption'),
    onboardings: new Map(onboardings.map(({ id, ...row }) => [id, row])),
  };
}

/** Sessions that somebody asked to delete: `true` once that was confirmed. */
function deletions(calls: readonly Call[]): ReadonlyMap<string, boolean> {
  const gone = new Map<string, boolean>();
  for (const call of calls) {
    if (call.wish !== 'delete') continue;
    const sessionId = call.path.split('/')[3] ?? '';
    gone.set(sessionId, gone.get(sessionId) === true || isSuccess(call));
  }
  return gone;
}

const sessionOf = ({ body }: Call): string => String(body?.['session_id']);

function problemOf(call: Call, facts: Facts, gone: ReadonlyMap<string, boolean>): string[] {
  const body = call.body ?? {};
  switch (call.wish) {
    case 'take-in':
      return sessionProblem(call, facts, gone);
    case 'import': {
      const redeemed = call.tokenId === null ? undefined : facts.redemptions.get(call.tokenId);
      return redeemed === sessionOf(call)
        ? sessionProblem(call, facts, gone)
        : [`import of token ${call.tokenId} was told session ${sessionOf(call)}; stored is ${String(redeemed)}`];
    }
    case 'delete': {
      const sessionId = call.path.split('/')[3] ?? '';
      return facts.sessions.has(sessionId) ? [`session ${sessionId} was told to be deleted, and is there`] : [];
    }
    case 'mint': {
      const { jti, session_id: session, for_application_id: partner } = claimsIn(String(body['share_token']));
      const stored = facts.tokens.get(String(jti));
      const expected = `${String(session)} ${String(partner)}`;
      return stored === expected ? [] : [`token ${String(jti)} was told for ${expected}; stored is ${String(stored)}`];
    }
    case 'onboard':
    case 'acknowledge':
    case 'decline':
    case 'revoke':
    case 'read-onboarding':
      return onboardingProblem(call.wish, body, facts);
    default:
      return [];
  }
}

function sessionProblem(call: Call, { sessions }: Facts, gone: ReadonlyMap<string, boolean>): string[] {
  const sessionId = sessionOf(call);
  const owner = sessions.get(sessionId);
  if (owner === call.as || (owner === undefined && gone.has(sessionId))) return [];
  return [`${call.wish}: session ${sessionId} was told to ${call.as}; stored is ${owner ?? 'none'}`];
}

/** A status goes only forward, and an ending is for ever. */
function onboardingProblem(wish: string, body: JsonObject, { onboardings }: Facts): string[] {
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
  const urls = () => rig.fleet.of('server').flatMap(({ url }) => (url === null ? [] : [url]));
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

function claimsIn(shareToken: string): JsonObject {
  return JSON.parse(Buffer.from(shareToken.split('.')[1] ?? '', 'base64url').toString('utf8')) as JsonObject;
}
