import type { Invariant } from '../invariant.ts';
import { isSuccess } from '../caller.ts';
import { marksIn } from '../documents.ts';
import { finding, readRows } from '../oracle-reading.ts';
import type { Rig } from '../rig.ts';

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
  says: 'nobody is shown a byte of a session that is not its own and that it never imported',
  check: async (rig) => {
    const held = await holdings(rig);
    const marks = new Map(rig.brands.map(({ id, mark }) => [mark, id]));
    let seen = 0;
    const breaks: string[] = [];
    for (const { as, what, text, at } of shownIn(rig)) {
      for (const { brand, document } of marksIn(text)) {
        seen += 1;
        if (marks.get(brand) === as) continue;
        const since = held.get(`${as} ${document}`);
        if (since === undefined) breaks.push(`${what} showed ${as} a document of ${marks.get(brand) ?? brand}`);
        else if (at < since) breaks.push(`${what} showed ${as} a document ${since - at} ms before its import`);
      }
    }
    return finding(`${seen} marked texts in ${rig.ledger.calls.length + rig.ledger.heard.length} replies`, breaks);
  },
};

function* shownIn({ ledger }: Rig): Generator<Shown> {
  for (const { as, wish, method, path, body, at, ms } of ledger.calls) {
    yield { as, what: `${wish} (${method} ${path})`, text: JSON.stringify(body), at: at + ms };
  }
  for (const { as, rawBody, at } of ledger.heard) yield { as, what: 'a webhook', text: rawBody, at };
}

/** Since when each application has which documents by an import, as `application document`; also those deleted since. */
async function holdings(rig: Rig): Promise<ReadonlyMap<string, number>> {
  // What each session holds, as its owner was told when it was taken in.
  const documents = new Map<string, string[]>();
  for (const call of rig.ledger.calls) {
    if (call.wish !== 'take-in' || !isSuccess(call)) continue;
    const found = marksIn(JSON.stringify(call.body)).map(({ document }) => document);
    documents.set(String(call.body?.['session_id']), found);
  }
  const imports = await readRows<{ source: string; session: string; partner: string; at: number }>(
    rig,
    `select source_session_id as source, session_id as session, partner_id as partner,
       floor(extract(epoch from redeemed_at) * 1000)::float8 as at
     from redemption order by redeemed_at`,
  );
  const held = new Map<string, number>();
  for (const { source, session, partner, at } of imports) {
    const found = documents.get(source) ?? [];
    documents.set(session, found);
    for (const document of found) {
      const key = `${partner} ${document}`;
      held.set(key, Math.min(at, held.get(key) ?? at));
    }
  }
  return held;
}
