import { isSuccess } from '../caller.ts';
import type { Invariant } from '../invariant.ts';
import type { Call } from '../ledger.ts';
import { finding, grouped, readRows } from '../oracle-reading.ts';

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

/** I1. */
export const oneImport: Invariant = {
  id: 'I1',
  says: 'at most one success per token over all callers, and one living import per source and receiver',
  check: async (rig) => {
    const imports = rig.ledger.calls.filter(({ wish }) => wish === 'import');
    const byToken = grouped(imports, ({ tokenId }) => tokenId);
    const breaks = [...byToken].flatMap(([tokenId, calls]) => successProblem(tokenId, calls));
    const looks = [
      [IMPORTED_TWICE, 'sessions came of token'],
      [LIVING_TWICE, 'living imports of source'],
      [TOLD_TWICE, 'times share.imported was told of token'],
    ] as const;
    for (const [sql, what] of looks) {
      for (const { about, n } of await readRows<{ about: string; n: number }>(rig, sql)) {
        breaks.push(`${n} ${what} ${about}`);
      }
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
