import { isSuccess } from '../caller.ts';
import { mayBeDone } from '../endings.ts';
import type { Invariant } from '../invariant.ts';
import type { Call } from '../ledger.ts';
import { finding, grouped, readRows } from '../oracle-reading.ts';
import { sessionInPath } from '../refusals.ts';
import { tokenIdOf } from '../stories.ts';

/** Sessions that came of a token, other than the people whom a business brought along. */
const IMPORTED_TWICE = `
  select p.token_id as about, count(*)::int as n from session_provenance p join session s on s.session_id = p.session_id
  where p.hop = 1 and s.parent_import is null group by 1 having count(*) > 1`;

/** Living imports of one source in one workspace, by what is there and not by what guards it. */
const LIVING_TWICE = `
  select shared_from_session || ' at ' || application_id as about, count(*)::int as n from session
  where shared_from_session is not null and parent_import is null
  group by shared_from_session, application_id having count(*) > 1`;

const TOLD_TWICE = `
  select token_id || ' to ' || application_id as about, count(*)::int as n from event
  where type = 'share.imported' and token_id is not null group by token_id, application_id having count(*) > 1`;

/** Every onboarding of the load is of a session that was taken in for it. */
const OPENED_TWICE = `
  select session_id as about, count(*)::int as n from onboarding group by session_id having count(*) > 1`;

/** Tokens of a session that were minted by calls of their own. */
const MINTED = `
  select t.session_id as about, count(*)::int as n from share_token t
  where not exists (select 1 from onboarding o where o.token_id = t.token_id) group by t.session_id`;

/** I1. */
export const oneImport: Invariant = {
  id: 'I1',
  says: 'at most one success per token over all callers, one living import per source and receiver, and one resource per ask',
  check: async (rig) => {
    const imports = rig.ledger.calls.filter(({ wish }) => wish === 'import');
    const byToken = grouped(imports, ({ tokenId }) => tokenId);
    const breaks = [...byToken].flatMap(([tokenId, calls]) => successProblem(tokenId, calls));
    const asked = grouped(rig.ledger.calls.filter(isSuccess), askOf);
    breaks.push(...[...asked].flatMap(([ask, calls]) => askProblem(ask, calls)));
    const looks = [
      [IMPORTED_TWICE, 'sessions came of token'],
      [LIVING_TWICE, 'living imports of source'],
      [OPENED_TWICE, 'onboardings were opened of session'],
      [TOLD_TWICE, 'times share.imported was told of token'],
    ] as const;
    for (const [sql, what] of looks) {
      for (const { about, n } of await readRows<{ about: string; n: number }>(rig, sql)) {
        breaks.push(`${n} ${what} ${about}`);
      }
    }
    const mints = rig.ledger.calls.filter((call) => call.wish === 'mint' && mayBeDone(call));
    const asks = grouped(mints, sessionInPath);
    for (const { about, n } of await readRows<{ about: string; n: number }>(rig, MINTED)) {
      const most = new Set((asks.get(about) ?? []).map(({ idempotencyKey }) => idempotencyKey)).size;
      if (n > most) breaks.push(`${n} tokens were minted of session ${about}, and ${most} asked for`);
    }
    const [all] = await readRows<{ n: number }>(rig, 'select count(*)::int as n from redemption');
    return finding(`${imports.length} import calls for ${byToken.size} tokens, ${all?.n ?? 0} redemptions`, breaks);
  },
};

/** A success again under the same key is the same success; whoever called otherwise must have been refused. */
function successProblem(tokenId: string, calls: readonly Call[]): string[] {
  const successes = calls.filter(isSuccess);
  const sessions = new Set(successes.map(({ body }) => String(body?.['session_id'])));
  const callers = new Set(successes.map((call, index) => call.idempotencyKey ?? `without a key, ${index}`));
  return sessions.size > 1 || callers.size > 1
    ? [`token ${tokenId}: ${callers.size} callers were told of a success, of ${sessions.size} sessions`]
    : [];
}

/** What the answer to a wish names, where the wish makes something; imports are told apart by their tokens. */
const MADE: Readonly<Record<string, (call: Call) => string>> = {
  'take-in': ({ body }) => String(body?.['session_id']),
  mint: ({ body }) => tokenIdOf(String(body?.['share_token'])),
  onboard: ({ body }) => String(body?.['token_id']),
};

/** Whoever asks again under the same key asks for the same. */
function askOf({ wish, as, idempotencyKey }: Call): string | null {
  return wish in MADE && idempotencyKey !== null ? `${wish} by ${as} under key ${idempotencyKey}` : null;
}

function askProblem(ask: string, calls: readonly Call[]): string[] {
  const named = new Set(calls.map((call) => MADE[call.wish]?.(call)));
  return named.size > 1 ? [`${ask} made ${named.size}: ${[...named].join(', ')}`] : [];
}
