import { createAnchorJudge, parseAnchor, type Anchor } from './anchors.ts';
import { findingOf, type Finding } from './findings.ts';
import type { AnchorLine } from './ports.ts';

/** Anchors of a store, those that are genuine by application, and what is wrong with the others. */
export interface CollectedAnchors {
  readonly byApplication: ReadonlyMap<string, readonly Anchor[]>;
  /** Lines that are no JSON: writes that died. */
  readonly halfLines: number;
  readonly findings: readonly Finding[];
}

/** Reads anchors, each of which the given keys must have signed. */
export async function collectAnchors(
  lines: AsyncIterable<AnchorLine>,
  publicKeys: readonly Uint8Array[],
): Promise<CollectedAnchors> {
  const judge = createAnchorJudge(publicKeys);
  const byApplication = new Map<string, Anchor[]>();
  const findings: Finding[] = [];
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
    const finding = judgement(anchor, place, judge(anchor));
    if (finding !== null) {
      findings.push(finding);
      continue;
    }
    const ofApplication = byApplication.get(anchor.application_id);
    if (ofApplication === undefined) byApplication.set(anchor.application_id, [anchor]);
    else ofApplication.push(anchor);
  }
  return { byApplication, halfLines, findings };
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
