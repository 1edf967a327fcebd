import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Row } from '../../torture/part.ts';
import type { Brand } from '../brands.ts';
import { createCaller, isSuccess, type Caller, type Wish } from '../caller.ts';
import { arming, readDeath, REPLIES } from '../crash-points.ts';
import { markedDocument } from '../documents.ts';
import { endsWithin, type Member } from '../fleet.ts';
import type { Call } from '../ledger.ts';
import { readRows } from '../oracle-reading.ts';
import { importWish } from '../partner-acts.ts';
import type { Fault, Rig } from '../rig.ts';
import { tokenIdOf } from '../stories.ts';

const KILLS = { quick: 10, long: 200 } as const;
/** Connections end with their server: one that lives so long after does not die. */
const PATIENCE_MS = 10_000;

/** A call whose answer is lost, and how the database knows what it made. */
interface Lost {
  readonly wish: Wish;
  /** Id of what an answer names. */
  readonly named: (answer: Call) => unknown;
  /** Ids of all that was made of it: one. */
  readonly made: () => Promise<string[]>;
}

type Kind = 'import' | 'mint' | 'open' | 'take-in';
/** Every second one is an import. */
const TURNS: readonly Kind[] = ['import', 'mint', 'import', 'open', 'import', 'take-in'];

/** A server dies between its commit and its reply; the client asks the other one again, with the same key. */
export const killedReplies: Fault = {
  id: 'F3',
  what: `SIGKILL of a server between commit and reply, ${KILLS.quick} times (long: ${KILLS.long})`,
  run: async (rig) => {
    const [victim, survivor] = rig.fleet.of('server');
    if (victim === undefined || survivor === undefined) throw new Error('two servers are needed');
    mkdirSync(join(rig.folder, 'deaths'), { recursive: true });
    const outcomes: { readonly kind: Kind; readonly problem: string | null }[] = [];
    for (let kill = 0; kill < KILLS[rig.quick ? 'quick' : 'long']; kill += 1) {
      const kind = TURNS[kill % TURNS.length] ?? 'import';
      const problem = await loseReply(rig, kind, victim, survivor);
      if (problem !== null) rig.say(`F3: ${kind}: ${problem}`);
      outcomes.push({ kind, problem });
    }
    await victim.stop();
    await victim.start();
    return [...new Set(TURNS)].map((kind) => rowOf(kind, outcomes));
  },
};

function rowOf(kind: Kind, outcomes: readonly { readonly kind: Kind; readonly problem: string | null }[]): Row {
  const ours = outcomes.filter((outcome) => outcome.kind === kind);
  const [first] = ours.flatMap(({ problem }) => problem ?? []);
  const good = ours.filter(({ problem }) => problem === null).length;
  return {
    what: `${kind}: asked again elsewhere, it names the one that was made`,
    expected: `${ours.length} of ${ours.length}`,
    seen: `${good} of ${ours.length}${first === undefined ? '' : `: ${first}`}`,
    ok: good === ours.length && ours.length > 0,
  };
}

/** Loses one reply. @returns what is wrong with what came of it; null when nothing is */
async function loseReply(rig: Rig, kind: Kind, victim: Member, survivor: Member): Promise<string | null> {
  const key = randomUUID();
  const report = join(rig.folder, 'deaths', `${key}.json`);
  const at = (member: Member) => createCaller(() => (member.url === null ? [] : [member.url]), rig.ledger);
  // What others ask of the victim is answered.
  await victim.stop();
  await victim.start(arming({ point: REPLIES[kind], only: key, report }));
  const lost = await prepare(rig, at(survivor), kind);

  const unanswered = await at(victim).once({ ...lost.wish, key });
  if (unanswered.status !== null) return `the armed server answered ${unanswered.status}`;
  if (!(await endsWithin(victim, PATIENCE_MS))) return 'the server did not die';
  if (readDeath(report) === null) return 'the server did not die of its point';
  const made = await lost.made();
  if (made.length !== 1) return `${made.length} were made before the kill`;

  const again = await at(survivor).insist({ ...lost.wish, key });
  if (!isSuccess(again)) return `asked again: ${again.status}`;
  if (!again.replayed) return 'asked again, it was done anew';
  if (lost.named(again) !== made[0]) return 'asked again, it names another one';
  return (await lost.made()).length === 1 ? null : 'asked again, it was made again';
}

async function prepare(rig: Rig, caller: Caller, kind: Kind): Promise<Lost> {
  const [issuer, partner] = rig.random.shuffled(rig.brands);
  if (issuer === undefined || partner === undefined) throw new Error('a share needs two brands');
  const { document } = markedDocument(issuer, rig.random);
  const ids = async (text: string, value: string) =>
    (await readRows<{ id: string }>(rig, text, [value])).map(({ id }) => id);
  const takeIn: Wish = { wish: 'take-in', as: issuer, method: 'POST', path: '/v1/sessions/', body: document };
  if (kind === 'take-in') {
    const made = () =>
      ids('select session_id as id from session where external_id = $1', String(document['external_id']));
    return { wish: takeIn, named: ({ body }) => body?.['session_id'], made };
  }

  const sessionId = String((await done(caller, takeIn)).body?.['session_id']);
  if (kind === 'open') {
    const body = { session_id: sessionId, for_application_id: partner.id, ttl_in_seconds: 60 };
    return {
      wish: { wish: 'onboard', as: issuer, method: 'POST', path: '/v1/onboardings/', body },
      named: ({ body: answer }) => answer?.['token_id'],
      made: () => ids('select token_id as id from onboarding where session_id = $1', sessionId),
    };
  }
  const mint = mintWish(issuer, partner, sessionId);
  if (kind === 'mint') {
    const made = () => ids('select token_id as id from share_token where session_id = $1', sessionId);
    return { wish: mint, named: ({ body }) => tokenIdOf(String(body?.['share_token'])), made };
  }
  const shareToken = String((await done(caller, mint)).body?.['share_token']);
  const token = { shareToken, tokenId: tokenIdOf(shareToken) };
  return {
    wish: importWish(partner, token),
    named: ({ body }) => body?.['session_id'],
    made: () => ids('select session_id as id from redemption where token_id = $1', token.tokenId),
  };
}

function mintWish(issuer: Brand, partner: Brand, sessionId: string): Wish {
  const body = { for_application_id: partner.id, ttl_in_seconds: 600 };
  return { wish: 'mint', as: issuer, method: 'POST', path: `/v3/session/${sessionId}/share/`, body };
}

async function done(caller: Caller, wish: Wish): Promise<Call> {
  const call = await caller.insist(wish);
  if (!isSuccess(call)) throw new Error(`${wish.wish}: ${call.status} ${JSON.stringify(call.body)}`);
  return call;
}
