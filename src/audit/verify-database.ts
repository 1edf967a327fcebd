import type { AuditSnapshot, LooseEvent } from '../postgres/audit-snapshot.ts';
import { createAnchorJudge, type Anchor, type AnchorFacts } from './anchors.ts';
import { collectAnchors, judgement, type CollectedAnchors } from './collect-anchors.ts';
import { findingOf, type Finding } from './findings.ts';
import type { AnchorStore } from './ports.ts';
import { verifyChain, type ChainReport } from './verify-chain.ts';

export interface DatabaseToVerify {
  /** Opened after the anchors were read, so that none is of a later moment. */
  readonly open: () => Promise<AuditSnapshot>;
  /** Where the anchors are, and every key that signed one; null to go without. */
  readonly anchoring: { readonly store: AnchorStore; readonly publicKeys: readonly Uint8Array[] } | null;
  /** Told of every row of every chain. */
  readonly onRow?: () => void;
}

/** What is known of an application's chain. */
export interface ApplicationReport extends ChainReport {
  /** Events that wait to be sealed. */
  readonly waiting: number;
}

export interface DatabaseReport {
  readonly applications: readonly ApplicationReport[];
  readonly findings: readonly Finding[];
  /** Lines of the anchor store that are no JSON: writes that died. */
  readonly halfLines: number;
}

/** Checks the chain of every application, and that no event is in none. */
export async function verifyDatabase({ open, anchoring, onRow }: DatabaseToVerify): Promise<DatabaseReport> {
  const kept = anchoring === null ? null : await collectAnchors(anchoring.store.lines(), anchoring.publicKeys);
  const snapshot = await open();
  try {
    const copies = anchoring === null || kept === null ? null : await readCopies(snapshot, anchoring, kept);
    const anchorsOf = (applicationId: string): AnchorFacts[] | null =>
      kept === null
        ? null
        : [...(kept.byApplication.get(applicationId) ?? []), ...(copies?.byApplication.get(applicationId) ?? [])];
    const waiting = await snapshot.waiting();
    const ids = new Set([...(await snapshot.applications()), ...(kept?.byApplication.keys() ?? [])]);
    const applications: ApplicationReport[] = [];
    for (const applicationId of [...ids].toSorted()) {
      const chain = await verifyChain({
        applicationId,
        rows: (after) => snapshot.rows(applicationId, after),
        anchors: anchorsOf(applicationId),
        ...(onRow !== undefined && { onRow }),
      });
      applications.push({ ...chain, waiting: waiting.get(applicationId) ?? 0 });
    }
    return {
      applications,
      findings: [
        ...applications.flatMap(({ finding }) => finding ?? []),
        ...(await snapshot.loose()).map(looseFinding),
        ...(kept?.findings ?? []),
        ...(copies?.findings ?? []),
      ],
      halfLines: kept?.halfLines ?? 0,
    };
  } finally {
    await snapshot.close();
  }
}

function looseFinding({ applicationId, eventId, type }: LooseEvent): Finding {
  const sentence =
    type === null
      ? `Event ${eventId} of ${applicationId} was removed before it was sealed.`
      : `Event ${eventId} (${type}) of ${applicationId} is in no chain and does not wait for it: its place was taken away, or it was put in.`;
  return findingOf(applicationId)('event_lost', sentence, { eventId });
}

type Copies = Pick<CollectedAnchors, 'byApplication' | 'findings'>;

/** The database's copies of anchors: as good as those outside, if signed, and each must be outside too. */
async function readCopies(
  snapshot: AuditSnapshot,
  { store, publicKeys }: NonNullable<DatabaseToVerify['anchoring']>,
  kept: CollectedAnchors,
): Promise<Copies> {
  const judge = createAnchorJudge(publicKeys);
  const findings: Finding[] = [];
  const genuine: Anchor[] = [];
  for await (const copy of snapshot.anchorCopies()) {
    const finding = judgement(copy, 'the copy in the database', judge(copy));
    if (finding === null) genuine.push(copy);
    else findings.push(finding);
  }
  let missing = lacking(genuine, kept);
  // Those that were made since the store was read are in it by now.
  if (missing.length > 0) missing = lacking(missing, await collectAnchors(store.lines(), publicKeys));
  for (const [applicationId, anchors] of Map.groupBy(missing, ({ application_id }) => application_id)) {
    const [first] = anchors;
    const sentence = `The anchor store lacks ${anchors.length} of the anchors of ${applicationId} whose signed copies are in the database, the first of ${first?.anchored_at}, at position ${first?.position}.`;
    findings.push(findingOf(applicationId)('anchor_removed', sentence, { position: first?.position ?? null }));
  }
  return { byApplication: Map.groupBy(genuine, ({ application_id }) => application_id), findings };
}

function lacking(copies: readonly Anchor[], kept: CollectedAnchors): Anchor[] {
  const same = ({ application_id, position, anchored_at, chain_sha256 }: Anchor) =>
    [application_id, position, anchored_at, chain_sha256].join(' ');
  const there = new Set([...kept.byApplication.values()].flat().map(same));
  return copies.filter((copy) => !there.has(same(copy)));
}
