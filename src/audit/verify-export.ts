import { anchorShape, createAnchorJudge, type Anchor } from './anchors.ts';
import { rowHash } from './audited-event.ts';
import { chainHash, emptyChain } from './chain.ts';
import { judgement } from './collect-anchors.ts';
import { exportLine, type ExportLine } from './export.ts';
import { findingOf, type Finding } from './findings.ts';

/** What is known of an export. */
export interface ExportReport {
  /** Null when the file is no export. */
  readonly applicationId: string | null;
  readonly events: number;
  /** Events that were left out, with their links in the places. */
  readonly links: number;
  /** Whether every row from the first to the last is in it. */
  readonly contiguous: boolean;
  /** Position that the export begins after; 0 is the chain's beginning. */
  readonly after: number;
  readonly lastPosition: number;
  /** The last anchor before the first gap: it proves every event up to it. */
  readonly lastAnchor: Anchor | null;
  /** Events that no anchor proves. */
  readonly unproven: number;
  readonly findings: readonly Finding[];
}

type Lines = { readonly [Kind in ExportLine['kind']]: Extract<ExportLine, { kind: Kind }> };

/**
 * Checks an export without the database: every row's hash; how rows follow each other, wherever none is left out; and the
 * anchors that fall on them.
 *
 * @param publicKeys those that signed anchors; null goes without
 */
export async function verifyExport(
  lines: AsyncIterable<string>,
  publicKeys: readonly Uint8Array[] | null,
): Promise<ExportReport> {
  const reader = new ExportReader(publicKeys);
  for await (const line of lines) if (line !== '' && !reader.take(line)) break;
  return reader.report();
}

class ExportReader {
  readonly #judge: ReturnType<typeof createAnchorJudge> | null;
  readonly #findings: Finding[] = [];
  readonly #anchors = new Map<number, Anchor[]>();
  #header: Lines['header'] | null = null;
  #ended = false;
  #number = 0;
  #events = 0;
  #links = 0;
  #anchorLines = 0;
  #proven = 0;
  #contiguous = true;
  #position = 0;
  #chain = Buffer.alloc(0);
  #lastAnchor: Anchor | null = null;

  constructor(publicKeys: readonly Uint8Array[] | null) {
    this.#judge = publicKeys === null ? null : createAnchorJudge(publicKeys);
  }

  /** Whether to go on: false after the first thing that is wrong. */
  take(text: string): boolean {
    this.#number += 1;
    const line = parse(text);
    if (line === null || this.#ended || (line.kind === 'header') !== (this.#header === null)) {
      return this.#wrong(`Line ${this.#number} is no line of an export, or out of its place.`);
    }
    switch (line.kind) {
      case 'header':
        this.#header = line;
        this.#position = line.after_position;
        this.#chain = Buffer.from(line.after_chain_sha256, 'hex');
        if (line.after_position > 0 || this.#chain.equals(emptyChain(line.application_id).chainHash)) return true;
        return this.#wrong('The export begins with a chain that is not its application’s own.', 'row_altered');
      case 'anchor':
        return this.#takeAnchor(line);
      case 'event':
        return this.#takeEvent(line);
      case 'link':
        this.#links += 1;
        return this.#takeRow(line, null);
      case 'end':
        return this.#takeEnd(line);
    }
  }

  report(): ExportReport {
    const find = findingOf(this.#header?.application_id ?? null);
    if (this.#findings.length === 0) {
      if (!this.#ended) {
        this.#findings.push(find('export_cut', 'The export is cut off: its last line is missing.'));
      } else if (this.#judge !== null && this.#lastAnchor === null && this.#events > 0) {
        const sentence =
          'No anchor falls on a row before the first gap: nothing shows that this export is of the chain that was sealed.';
        this.#findings.push(find('no_anchor', sentence));
      }
    }
    return {
      applicationId: this.#header?.application_id ?? null,
      events: this.#events,
      links: this.#links,
      contiguous: this.#contiguous,
      after: this.#header?.after_position ?? 0,
      lastPosition: this.#position,
      lastAnchor: this.#lastAnchor,
      unproven: this.#events - this.#proven,
      findings: this.#findings,
    };
  }

  #takeAnchor(line: Lines['anchor']): boolean {
    const anchor: Anchor = anchorShape.parse(line);
    this.#anchorLines += 1;
    if (anchor.application_id !== this.#header?.application_id || this.#events + this.#links > 0) {
      return this.#wrong(`The anchor in line ${this.#number} is of another application, or out of its place.`);
    }
    if (this.#judge === null) return true;
    const finding = judgement(anchor, `line ${this.#number}`, this.#judge(anchor));
    if (finding !== null) this.#findings.push(finding);
    else this.#anchors.set(anchor.position, [...(this.#anchors.get(anchor.position) ?? []), anchor]);
    return finding === null;
  }

  #takeEvent(line: Lines['event']): boolean {
    const { position, event } = line;
    const applicationId = this.#header?.application_id;
    this.#events += 1;
    if (event.application_id !== applicationId || rowHash(event).toString('hex') !== line.row_sha256) {
      const sentence = `Event ${event.event_id} (${event.type}) at position ${position} was altered after it was sealed.`;
      return this.#wrong(sentence, 'event_altered', { position, eventId: event.event_id });
    }
    return this.#takeRow(line, event.event_id);
  }

  #takeRow(row: Lines['event'] | Lines['link'], eventId: string | null): boolean {
    const { position } = row;
    if (position <= this.#position) {
      const sentence = `The rows are reordered: position ${position} follows ${this.#position}.`;
      return this.#wrong(sentence, 'reordered', { position, eventId });
    }
    const follows = position === this.#position + 1;
    if (!follows && this.#header?.complete === true) {
      const sentence = `Positions ${this.#position + 1} to ${position - 1} were removed from the export, which says that it is complete.`;
      return this.#wrong(sentence, 'rows_removed', { position: this.#position + 1 });
    }
    this.#contiguous &&= follows;
    const linked = chainHash(this.#chain, position, Buffer.from(row.row_sha256, 'hex')).toString('hex');
    const stored = row.kind === 'event' ? row.chain_sha256 : linked;
    if (follows && stored !== linked) {
      const sentence = `The row at position ${position} does not follow the one before it: one of them was altered, put in or moved.`;
      return this.#wrong(sentence, 'row_altered', { position, eventId });
    }
    this.#position = position;
    this.#chain = Buffer.from(stored, 'hex');
    return this.#meetAnchors(stored);
  }

  #meetAnchors(hash: string): boolean {
    for (const anchor of this.#anchors.get(this.#position) ?? []) {
      if (anchor.chain_sha256 !== hash) {
        const agrees = this.#lastAnchor;
        const last = agrees === null ? 'no anchor agrees' : `the last that agrees is at position ${agrees.position}`;
        const sentence = `The chain in this export was recomputed: ${last}, and the anchor of ${anchor.anchored_at} at position ${this.#position} does not.`;
        return this.#wrong(sentence, 'recomputed', { position: (agrees?.position ?? 0) + 1 });
      }
      if (!this.#contiguous) continue;
      this.#lastAnchor = anchor;
      this.#proven = this.#events;
    }
    return true;
  }

  #takeEnd({ events, links, anchors }: Lines['end']): boolean {
    this.#ended = true;
    if (events !== this.#events || links !== this.#links || anchors !== this.#anchorLines) {
      return this.#wrong('The export has not as many lines as its last one says.', 'export_cut');
    }
    const beyond = [...this.#anchors.keys()].filter((position) => position > this.#position).toSorted((a, b) => a - b);
    if (this.#header?.complete === true && beyond[0] !== undefined) {
      const sentence = `The tail was cut off: the export ends at position ${this.#position}, and an anchor saw position ${beyond[0]}.`;
      return this.#wrong(sentence, 'tail_cut');
    }
    return true;
  }

  /** Notes what is wrong: nothing after it is looked at. */
  #wrong(
    sentence: string,
    code: Finding['code'] = 'export_altered',
    at: Partial<Pick<Finding, 'position' | 'eventId'>> = {},
  ): false {
    this.#findings.push(findingOf(this.#header?.application_id ?? null)(code, sentence, at));
    return false;
  }
}

function parse(text: string): ExportLine | null {
  try {
    return exportLine.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
