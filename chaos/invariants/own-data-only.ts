import type { Invariant } from '../invariant.ts';
import { isSuccess } from '../caller.ts';
import { marksIn } from '../documents.ts';
import { finding, readRows } from '../oracle-reading.ts';
import type { Rig } from '../rig.ts';
import { TRESPASS } from '../stories.ts';

/** A text that an application got, and when. */
interface Shown {
  readonly as: string;
  readonly what: string;
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** I9. */
export const ownDataOnly: Invariant = {
  id: 'I9',
  says: 'nobody is shown a byte of a session that is not its own and that it never imported by a token for it',
  check: async (rig) => {
    const imports = await readRows<Import & Record<string, unknown>>(rig, IMPORTS);
    const held = holdings(rig, imports);
    const marks = new Map(rig.brands.map(({ id, mark }) => [mark, id]));
    let seen = 0;
    const trespasses = rig.ledger.calls.filter(({ wish }) => wish === TRESPASS);
    const breaks = [
      ...imports.flatMap(theftOf),
      ...trespasses.filter(isSuccess).map(({ as, path }) => `${as} was let in at ${path}, which is not its own`),
    ];
    for (const { as, what, text, at } of shownIn(rig)) {
      for (const { brand, document } of marksIn(text)) {
        seen += 1;
        if (marks.get(brand) === as) continue;
        const since = held.get(`${as} ${document}`);
        if (since === undefined) breaks.push(`${what} showed ${as} a document of ${marks.get(brand) ?? brand}`);
        else if (at < since) breaks.push(`${what} showed ${as} a document ${since - at} ms before its import`);
      }
    }
    const { calls, heard } = rig.ledger;
    const replies = calls.length + heard.length;
    return finding(`${seen} marked texts in ${replies} replies, ${trespasses.length} of them to trespassers`, breaks);
  },
};

/** Every import: for whom its token was, who made it, and whose the new session is, if it is still there. */
const IMPORTS = `
  select r.token_id as "tokenId", r.source_session_id as source, r.session_id as session, r.partner_id as taker,
    t.partner_id as partner, s.application_id as holder, floor(extract(epoch from r.redeemed_at) * 1000)::float8 as at
  from redemption r left join share_token t on t.token_id = r.token_id left join session s on s.session_id = r.session_id
  order by r.redeemed_at`;

interface Import {
  readonly tokenId: string;
  readonly source: string;
  readonly session: string;
  readonly taker: string;
  readonly partner: string | null;
  readonly holder: string | null;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** What somebody imported by a token that names somebody else. */
function theftOf({ tokenId, taker, partner, holder }: Import): string[] {
  const thief = [taker, holder].find((one) => one !== null && one !== partner);
  return thief === undefined ? [] : [`${thief} imported by token ${tokenId}, which is for ${String(partner)}`];
}

function* shownIn({ ledger }: Rig): Generator<Shown> {
  for (const { as, wish, method, path, body, at, ms } of ledger.calls) {
    yield { as, what: `${wish} (${method} ${path})`, text: JSON.stringify(body), at: at + ms };
  }
  for (const { as, rawBody, at } of ledger.heard) yield { as, what: 'a webhook', text: rawBody, at };
}

/** Since when each application has which documents by an import, as `application document`; also those deleted since. */
function holdings(rig: Rig, imports: readonly Import[]): ReadonlyMap<string, number> {
  // What each session holds, as its owner was told when it was taken in.
  const documents = new Map<string, string[]>();
  for (const call of rig.ledger.calls) {
    if (call.wish !== 'take-in' || !isSuccess(call)) continue;
    const found = marksIn(JSON.stringify(call.body)).map(({ document }) => document);
    documents.set(String(call.body?.['session_id']), found);
  }
  const held = new Map<string, number>();
  for (const { source, session, partner, at } of imports) {
    if (partner === null) continue;
    const found = documents.get(source) ?? [];
    documents.set(session, found);
    for (const document of found) {
      const key = `${partner} ${document}`;
      held.set(key, Math.min(at, held.get(key) ?? at));
    }
  }
  return held;
}
