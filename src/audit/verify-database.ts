import type { AuditSnapshot, LooseEvent, WaitingEvents } from '../postgres/audit-snapshot.ts';
import type { Interference } from '../postgres/audit-interference.ts';
import { createAnchorJudge, type Anchor, type AnchorFacts } from './anchors.ts';
import {
  collectAnchors,
  judgement,
  UnknownKeyCounter,
  unknownKeyFindings,
  type CollectedAnchors,
} from './collect-anchors.ts';
import { findingOf, type Finding } from './findings.ts';
import type { AnchorStore } from './ports.ts';
import { verifyChain, type ChainReport } from './verify-chain.ts';

export interface DatabaseToVerify {
  /** Opened after the anchors were read, so that none is of a later moment. */
  readonly open: () => Promise<AuditSnapshot>;
  /** Where the anchors are, and every key that signed one; null to go without. */
  readonly anchoring: {
    readonly store: AnchorStore;
    readonly publicKeys: readonly Uint8Array[];
    /** What the worker has in `AUDIT_ANCHOR_SECONDS`. */
    readonly anchorSeconds: number;
  } | null;
  /** Told of every row of every chain. */
  readonly onRow?: () => void;
}

/** What is known of an application's chain. */
export interface ApplicationReport extends ChainReport {
  /** Rows that there are, or that an anchor saw. */
  readonly rows: number;
  /** The anchor of the highest position, whether or not the verification came as far. */
  readonly newestAnchor: AnchorFacts | null;
  /** Events that wait to be sealed. */
  readonly waiting: number;
}

export interface DatabaseReport {
  readonly applications: readonly ApplicationReport[];
  readonly findings: readonly Finding[];
  /** Lines of the anchor store that are no JSON: writes that died. */
  readonly halfLines: number;
}

/** An event takes about a second to be sealed: one that takes longer than this is told of. */
const LATE_SECONDS = 300;
/** So many times `AUDIT_ANCHOR_SECONDS` an event may be without an anchor, and no less than {@link LATE_SECONDS}. */
const LATE_ANCHORS = 5;

/** Checks the chain of every application, that no event is in none, and that none is kept waiting. */
export async function verifyDatabase({ open, anchoring, onRow }: DatabaseToVerify): Promise<DatabaseReport> {
  const kept = anchoring === null ? null : await collectAnchors(anchoring.store.lines(), anchoring.publicKeys);
  const snapshot = await open();
  try {
    const copies = anchoring === null || kept === null ? null : await readCopies(snapshot, anchoring, kept);
    const anchorsOf = (applicationId: string): AnchorFacts[] | null =>
      kept === null
        ? null
        : [...(kept.byApplication.get(applicationId) ?? []), ...(copies?.byApplication.get(applicationId) ?? [])];
    const queues = await snapshot.waiting(LATE_SECONDS);
    const isLate = latenessAt(snapshot.now, Math.max(LATE_SECONDS, LATE_ANCHORS * (anchoring?.anchorSeconds ?? 0)));
    const unknown = unknownKeyFindings(kept?.unknown ?? new Map(), copies?.unknown ?? new Map());
    const unjudged = new Set(
      [...(kept?.unknown.values() ?? []), ...(copies?.unknown.values() ?? [])].flatMap((key) => [...key.applications]),
    );
    const findings: Finding[] = [];
    const ids = new Set([...(await snapshot.applications()), ...(kept?.byApplication.keys() ?? [])]);
    const applications: ApplicationReport[] = [];
    for (const applicationId of [...ids].toSorted()) {
      const anchors = anchorsOf(applicationId);
      const chain = await verifyChain({
        applicationId,
        rows: (after) => snapshot.rows(applicationId, after),
        anchors,
        isLate,
        ...(onRow !== undefined && { onRow }),
      });
      const queue = queues.get(applicationId);
      const late = queue === undefined ? null : lateFinding(applicationId, queue);
      // Whether an anchor is missing, those who know its key can say.
      const lacksAnchors = chain.finding === null ? chain.lastAnchor === null : LACKS_ANCHORS.has(chain.finding.code);
      const isUnjudged = unjudged.has(applicationId) && lacksAnchors;
      const found = isUnjudged ? null : chain.finding;
      findings.push(...[found, late].filter((finding) => finding !== null));
      const newestAnchor = newestOf(anchors ?? []);
      applications.push({
        ...chain,
        rows: Math.max(await snapshot.lastPosition(applicationId), newestAnchor?.position ?? 0),
        newestAnchor,
        waiting: queue?.waiting ?? 0,
        finding: found ?? late ?? (isUnjudged ? (unknown[0] ?? null) : null),
      });
    }
    return {
      applications,
      findings: [
        ...findings,
        ...(await snapshot.loose()).map(looseFinding),
        ...(await snapshot.interference()).map(interferenceFinding),
        ...(kept?.findings ?? []),
        ...(copies?.findings ?? []),
        ...unknown,
      ],
      halfLines: kept?.halfLines ?? 0,
    };
  } finally {
    await snapshot.close();
  }
}

/** What is found where anchors are not there, or can't be judged. */
const LACKS_ANCHORS: ReadonlySet<string> = new Set(['no_anchor', 'not_anchored']);

function newestOf(anchors: readonly AnchorFacts[]): AnchorFacts | null {
  return anchors.reduce<AnchorFacts | null>(
    (newest, anchor) => (newest === null || anchor.position >= newest.position ? anchor : newest),
    null,
  );
}

/** Whether a time (ISO 8601) is further from now than these seconds, before it or after. */
function latenessAt(now: string, seconds: number): (createdAt: string) => boolean {
  const at = (offset: number) => new Date(Date.parse(now) + offset * 1_000).toISOString();
  const [first, last] = [at(-seconds), at(seconds)];
  return (createdAt) => createdAt < first || createdAt > last;
}

function lateFinding(applicationId: string, { late, lateSince }: WaitingEvents): Finding | null {
  if (late === 0) return null;
  const sentence = `Events of ${applicationId} wait to be sealed for more than ${LATE_SECONDS / 60} minutes, or are of a time to come: ${late}, the first of ${lateSince}. The onboarding worker does not run, or somebody keeps them from it. Start it, and verify again.`;
  return findingOf(applicationId)('not_sealed', sentence);
}

function looseFinding({ applicationId, eventId, type }: LooseEvent): Finding {
  const sentence =
    type === null
      ? `Event ${eventId} of ${applicationId} was removed before it was sealed.`
      : `Event ${eventId} (${type}) of ${applicationId} is in no chain and does not wait for it: its place was taken away, or it was put in.`;
  return findingOf(applicationId)('event_lost', sentence, { eventId });
}

function interferenceFinding({ kind, table, name, isMissing }: Interference): Finding {
  const sentence = isMissing
    ? `The ${kind} ${name} of ${table} is missing, switched off or not as this build makes it: events may have gone unqueued.`
    : `A ${kind} of ${table} that this build does not know, ${name}, acts on what is written: events may never have come in. Look at what it does, and drop it.`;
  return findingOf(null)('trigger_unknown', sentence);
}

type Copies = Pick<CollectedAnchors, 'byApplication' | 'findings' | 'unknown'>;

/** The database's copies of anchors: as good as those outside, if signed, and each must be outside too. */
async function readCopies(
  snapshot: AuditSnapshot,
  { store, publicKeys }: NonNullable<DatabaseToVerify['anchoring']>,
  kept: CollectedAnchors,
): Promise<Copies> {
  const judge = createAnchorJudge(publicKeys);
  const findings: Finding[] = [];
  const genuine: Anchor[] = [];
  const unknown = new UnknownKeyCounter();
  for await (const copy of snapshot.anchorCopies()) {
    const verdict = judge(copy);
    const finding = judgement(copy, 'the copy in the database', verdict);
    if (verdict === 'unknown_key') unknown.add(copy, 'a copy in the database');
    else if (finding === null) genuine.push(copy);
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
  const byApplication = Map.groupBy(genuine, ({ application_id }) => application_id);
  return { byApplication, findings, unknown: unknown.keys };
}

function lacking(copies: readonly Anchor[], kept: CollectedAnchors): Anchor[] {
  const same = ({ application_id, position, anchored_at, chain_sha256 }: Anchor) =>
    [application_id, position, anchored_at, chain_sha256].join(' ');
  const there = new Set([...kept.byApplication.values()].flat().map(same));
  return copies.filter((copy) => !there.has(same(copy)));
}
