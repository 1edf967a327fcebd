import type { AnchorFacts } from './anchors.ts';
import { rowHash, type AuditedEvent } from './audited-event.ts';
import { chainHash, emptyChain, type Place } from './chain.ts';
import { findingOf, type Finding } from './findings.ts';

/** A row of a chain as it is stored, with the event that it seals. */
export interface ChainRow {
  readonly position: number;
  readonly eventId: string;
  /** Hexadecimal, as is the other one. */
  readonly rowSha256: string;
  readonly chainSha256: string;
  /** ISO 8601 UTC with microseconds. */
  readonly sealedAt: string;
  /** Null when there is no such event. */
  readonly event: AuditedEvent | null;
  /** False when a payload is stored that is not the one that was sealed. */
  readonly payloadFits: boolean;
}

export interface ChainToVerify {
  readonly applicationId: string;
  /** Rows after a position, in their order. */
  readonly rows: (afterPosition: number) => AsyncIterable<ChainRow>;
  /** Anchors of this application whose signature is genuine; null to go without. */
  readonly anchors: readonly AnchorFacts[] | null;
  /** Whether an event of this time (ISO 8601) ought to be anchored by now. */
  readonly isLate: (createdAt: string) => boolean;
  /** Told of each row. */
  readonly onRow?: () => void;
}

/** What is known of a chain. */
export interface ChainReport {
  readonly applicationId: string;
  /** Rows from the beginning that are as they were sealed. */
  readonly sound: number;
  /** The last anchor that agrees; what lies beyond it is proven by nothing outside. */
  readonly lastAnchor: AnchorFacts | null;
  /** The first thing that is wrong. */
  readonly finding: Finding | null;
}

/** Checks a chain from its beginning to the first thing that is wrong. */
export async function verifyChain(chain: ChainToVerify): Promise<ChainReport> {
  const { applicationId } = chain;
  const find = findingOf(applicationId);
  const anchors = Map.groupBy(chain.anchors ?? [], ({ position }) => position);
  let head = emptyChain(applicationId);
  let lastAnchor: AnchorFacts | null = null;
  let late: { readonly position: number; readonly createdAt: string } | null = null;
  const report = (finding: Finding | null): ChainReport => ({
    applicationId,
    sound: head.position,
    lastAnchor,
    finding,
  });

  for await (const row of chain.rows(0)) {
    chain.onRow?.();
    const position = head.position + 1;
    if (row.position !== position) {
      const gap =
        row.position === position + 1 ? `Position ${position}` : `Positions ${position} to ${row.position - 1}`;
      return report(find('rows_removed', `${gap} of the chain of ${applicationId} was removed.`, { position }));
    }
    const expected = chainHash(head.chainHash, placeOf(row));
    const eventFits =
      row.event !== null &&
      row.event.application_id === applicationId &&
      rowHash(row.event).toString('hex') === row.rowSha256;
    if (!eventFits || expected.toString('hex') !== row.chainSha256) {
      return report(await diagnose(chain, head.chainHash, row, expected.toString('hex') === row.chainSha256));
    }
    if (!row.payloadFits) {
      const sentence = `The payload of event ${row.eventId} (${row.event?.type}) at position ${position} of ${applicationId} is not the one that was sealed.`;
      return report(find('payload_altered', sentence, { position, eventId: row.eventId }));
    }
    for (const anchor of anchors.get(position) ?? []) {
      if (anchor.chain_sha256 !== row.chainSha256) return report(recomputed(applicationId, lastAnchor, anchor));
      lastAnchor = anchor;
      late = null;
    }
    const createdAt = row.event?.created_at ?? '';
    if (lastAnchor?.position !== position && late === null && chain.isLate(createdAt)) late = { position, createdAt };
    head = { position, chainHash: expected };
  }

  const beyond = (chain.anchors ?? []).filter(({ position }) => position > head.position);
  const [first] = beyond.toSorted((a, b) => a.position - b.position);
  if (first !== undefined) {
    const sentence = `The tail of the chain of ${applicationId} was cut off: it ends at position ${head.position}, and the anchor of ${first.anchored_at} saw position ${first.position}.`;
    return report(find('tail_cut', sentence, { position: head.position + 1 }));
  }
  if (chain.anchors?.length === 0 && late !== null) {
    const sentence = `No anchor of ${applicationId} was found: nothing outside the database shows that its chain was not recomputed.`;
    return report(find('no_anchor', sentence));
  }
  if (chain.anchors !== null && late !== null) {
    const { position, createdAt } = late;
    const sentence = `The event of ${createdAt} at position ${position} of ${applicationId}, and what follows it, has no anchor: the onboarding worker does not run, its anchor store is away, or somebody keeps it from anchoring. Mend that, and verify again.`;
    return report(find('not_anchored', sentence, { position }));
  }
  return report(null);
}

function recomputed(applicationId: string, agrees: AnchorFacts | null, differs: AnchorFacts): Finding {
  const last =
    agrees === null
      ? 'no anchor agrees'
      : `the last anchor that agrees is of ${agrees.anchored_at}, at position ${agrees.position}`;
  const sentence =
    `The chain of ${applicationId} was recomputed: ${last}, and the first that does not is of ${differs.anchored_at}, ` +
    `at position ${differs.position}. Something at positions ${(agrees?.position ?? 0) + 1} to ${differs.position} is not what was sealed.`;
  return findingOf(applicationId)('recomputed', sentence, { position: (agrees?.position ?? 0) + 1 });
}

/** What happened at the first row that does not fit. */
async function diagnose(chain: ChainToVerify, previous: Buffer, row: ChainRow, linked: boolean): Promise<Finding> {
  const { applicationId } = chain;
  const { position, eventId } = row;
  const find = findingOf(applicationId);
  const at = { position, eventId };
  const elsewhere = await whereItStands(chain, previous, row, linked);
  if (elsewhere !== null) {
    const sentence = `The rows of ${applicationId} were reordered, or one was put among them, from position ${position} on: what was sealed there stands at position ${elsewhere} now.`;
    return find('reordered', sentence, at);
  }
  if (row.event === null) {
    return find('event_removed', `Event ${eventId} at position ${position} of ${applicationId} was removed.`, at);
  }
  if (linked) {
    const sentence = `Event ${eventId} (${row.event.type}) at position ${position} of ${applicationId} was altered after it was sealed.`;
    return find('event_altered', sentence, at);
  }
  const sentence = `The row at position ${position} of the chain of ${applicationId} is not the one that was sealed there: it was altered, put there, or moved up in the place of one that was removed.`;
  return find('row_altered', sentence, at);
}

function placeOf({ position, rowSha256, sealedAt }: ChainRow): Place {
  return { position, rowHash: Buffer.from(rowSha256, 'hex'), sealedAt };
}

/** The later position at which that is found which was sealed at this row's; null when nowhere. */
async function whereItStands(
  chain: ChainToVerify,
  previous: Buffer,
  row: ChainRow,
  linked: boolean,
): Promise<number | null> {
  for await (const later of chain.rows(row.position)) {
    // Their events alone were exchanged: the hashes stayed.
    const sameHash = linked && later.event !== null && rowHash(later.event).toString('hex') === row.rowSha256;
    const stayed = chainHash(previous, { ...placeOf(row), rowHash: placeOf(later).rowHash }).toString('hex');
    const moved = chainHash(previous, { ...placeOf(later), position: row.position }).toString('hex');
    if (sameHash || moved === later.chainSha256 || (!linked && [moved, stayed].includes(row.chainSha256)))
      return later.position;
  }
  return null;
}
