import { createAnchorJudge, parseAnchor, type Anchor } from './anchors.ts';
import { findingOf, type Finding } from './findings.ts';
import type { AnchorLine } from './ports.ts';

/** Anchors of a store, those that are genuine by application, and what is wrong with the others. */
export interface CollectedAnchors {
  readonly byApplication: ReadonlyMap<string, readonly Anchor[]>;
  /** Lines that are no JSON: writes that died. */
  readonly halfLines: number;
  readonly findings: readonly Finding[];
  /** Those that are signed with keys that were not given, by key id. */
  readonly unknown: UnknownKeys;
}

/** Anchors that no given key can have signed, by key id. */
export type UnknownKeys = ReadonlyMap<string, UnknownKey>;

interface UnknownKey {
  readonly anchors: number;
  /** Where the first one stands. */
  readonly place: string;
  readonly applications: ReadonlySet<string>;
}

/** Reads anchors, each of which the given keys must have signed. */
export async function collectAnchors(
  lines: AsyncIterable<AnchorLine>,
  publicKeys: readonly Uint8Array[],
): Promise<CollectedAnchors> {
  const judge = createAnchorJudge(publicKeys);
  const byApplication = new Map<string, Anchor[]>();
  const findings: Finding[] = [];
  const unknown = new UnknownKeyCounter();
  let halfLines = 0;
  for await (const { place, text } of lines) {
    const anchor = parseAnchor(text);
    if (anchor === 'half_line') {
      halfLines += 1;
      continue;
    }
    if (anchor === 'unsigned') {
      findings.push(findingOf(null)('anchor_unsigned', `The anchor at ${place} is not a signed anchor.`));
      continue;
    }
    const verdict = judge(anchor);
    if (verdict === 'unknown_key') {
      unknown.add(anchor, place);
      continue;
    }
    const finding = judgement(anchor, place, verdict);
    if (finding !== null) {
      findings.push(finding);
      continue;
    }
    const ofApplication = byApplication.get(anchor.application_id);
    if (ofApplication === undefined) byApplication.set(anchor.application_id, [anchor]);
    else ofApplication.push(anchor);
  }
  return { byApplication, halfLines, findings, unknown: unknown.keys };
}

/** Counts anchors by the key that is not known: there may be one for every minute of a year. */
export class UnknownKeyCounter {
  readonly keys = new Map<string, UnknownKey>();

  add({ key_id: keyId, application_id: applicationId }: Anchor, place: string): void {
    const known = this.keys.get(keyId);
    this.keys.set(keyId, {
      anchors: (known?.anchors ?? 0) + 1,
      place: known?.place ?? place,
      applications: new Set([...(known?.applications ?? []), applicationId]),
    });
  }
}

/** One sentence for each key that was not given, of the store's anchors and the database's copies of them. */
export function unknownKeyFindings(ofStore: UnknownKeys, ofCopies: UnknownKeys): Finding[] {
  return [...new Set([...ofStore.keys(), ...ofCopies.keys()])].map((keyId) => {
    const [kept, copied] = [ofStore.get(keyId), ofCopies.get(keyId)];
    const place = kept?.place ?? copied?.place;
    const sentence = `No public key with the id ${keyId} was given, which signed ${kept?.anchors ?? 0} of the anchors and ${copied?.anchors ?? 0} of their copies in the database, the first at ${place}: name every public key that was ever in use.`;
    return findingOf(null)('anchor_key_unknown', sentence);
  });
}

/** What is wrong with an anchor; null when it is genuine. */
export function judgement(
  anchor: Anchor,
  place: string,
  verdict: ReturnType<ReturnType<typeof createAnchorJudge>>,
): Finding | null {
  const find = findingOf(anchor.application_id);
  const what = `The anchor at ${place}, of ${anchor.application_id} at position ${anchor.position},`;
  if (verdict === 'forged') {
    return find('anchor_forged', `${what} is forged: key ${anchor.key_id} did not sign it.`, anchor);
  }
  if (verdict === 'unknown_key') {
    const sentence = `${what} is signed with key ${anchor.key_id}, which was not given: name every public key that was ever in use.`;
    return find('anchor_key_unknown', sentence, anchor);
  }
  return null;
}
