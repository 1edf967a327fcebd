import { anchorShape, createAnchorJudge, type Anchor } from './anchors.ts';
import { rowHash } from './audited-event.ts';
import { chainHash, emptyChain } from './chain.ts';
import { judgement } from './collect-anchors.ts';
import { problemLine, readJson } from '../domain/strict-json.ts';
import { exportLine, type ExportLine } from './export.ts';
import { findingOf, type Finding } from './findings.ts';

/** What is known of an export. */
export interface ExportReport {
  /** Null when the file is no export. */
  readonly applicationId: string | null;
  readonly events: number;
  /** Events that were left out, with their links in the places. */
  readonly links: number;
  /** Position that the export begins after; 0 is the chain's beginning. */
  readonly after: number;
  /** Position up to which it is as it was sealed. */
  readonly lastPosition: number;
  /** When the last event of it was written, ISO 8601; null without any. */
  readonly lastTime: string | null;
  /** The highest position in it, also beyond what is wrong. */
  readonly rows: number;
  /** The last one that agrees: it proves every event up to it. */
  readonly lastAnchor: Anchor | null;
  /** Events that no anchor proves. */
  readonly unproven: number;
  readonly findings: readonly Finding[];
}

type Lines = { readonly [Kind in ExportLine['kind']]: Extract<ExportLine, { kind: Kind }> };

/**
 * Checks an export without the database: every row's hash; how rows follow each other; whether they are what its filter
 * takes; and the anchors that fall on them.
 *
 * @param publicKeys those that signed anchors; null goes without
 */
export async function verifyExport(
  lines: AsyncIterable<string>,
  publicKeys: readonly Uint8Array[] | null,
): Promise<ExportReport> {
  const reader = new ExportReader(publicKeys);
  let isSound = true;
  for await (const text of lines) {
    if (text === '') continue;
    const read = parse(text);
    if (isSound) isSound = reader.take(read);
    if ('line' in read) reader.see(read.line);
  }
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
  #position = 0;
  #chain = Buffer.alloc(0);
  #lastAnchor: Anchor | null = null;
  #lastTime: string | null = null;
  #rows = 0;

  constructor(publicKeys: readonly Uint8Array[] | null) {
    this.#judge = publicKeys === null ? null : createAnchorJudge(publicKeys);
  }

  /** Whether to go on: false after the first thing that is wrong. */
  take(read: LineReading): boolean {
    this.#number += 1;
    if ('problem' in read) return this.#wrong(`Line ${this.#number} is no line of an export. ${read.problem}`);
    const { line } = read;
    if (this.#ended || (line.kind === 'header') !== (this.#header === null)) {
      return this.#wrong(`Line ${this.#number} is out of its place.`);
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
        return this.#takeLink(line);
      case 'end':
        return this.#takeEnd(line);
    }
  }

  /** Notes how far a line says that the export goes, believed or not. */
  see(line: ExportLine): void {
    if (line.kind === 'event' || line.kind === 'link') this.#rows = Math.max(this.#rows, line.position);
  }

  report(): ExportReport {
    const find = findingOf(this.#header?.application_id ?? null);
    if (this.#findings.length === 0) {
      if (!this.#ended) {
        this.#findings.push(find('export_cut', 'The export is cut off: its last line is missing.'));
      } else if (this.#judge !== null && this.#lastAnchor === null && this.#events + this.#links > 0) {
        const sentence = 'No anchor falls on a row: nothing shows that this export is of the chain that was sealed.';
        this.#findings.push(find('no_anchor', sentence));
      }
    }
    return {
      applicationId: this.#header?.application_id ?? null,
      events: this.#events,
      links: this.#links,
      after: this.#header?.after_position ?? 0,
      lastPosition: this.#position,
      lastTime: this.#lastTime,
      rows: Math.max(this.#rows, this.#position),
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
    const { since = null, until = null } = this.#header ?? {};
    const at = microseconds(event.created_at ?? '');
    if ((since !== null && at < microseconds(since)) || (until !== null && at > microseconds(until))) {
      const sentence = `Event ${event.event_id} at position ${position} is not of the time that the export says it is of.`;
      return this.#wrong(sentence, 'export_altered', { position, eventId: event.event_id });
    }
    this.#lastTime = event.created_at;
    return this.#takeRow(line, event.event_id);
  }

  #takeLink(line: Lines['link']): boolean {
    this.#links += 1;
    if (this.#header?.since === null && this.#header.until === null) {
      const sentence = `The event at position ${line.position} was left out of the export, which says that it leaves none out.`;
      return this.#wrong(sentence, 'export_altered', { position: line.position });
    }
    return this.#takeRow(line, null);
  }

  #takeRow(row: Lines['event'] | Lines['link'], eventId: string | null): boolean {
    const { position } = row;
    if (position <= this.#position) {
      const sentence = `The rows are reordered: position ${position} follows ${this.#position}.`;
      return this.#wrong(sentence, 'reordered', { position, eventId });
    }
    if (position !== this.#position + 1) {
      const sentence = `Positions ${this.#position + 1} to ${position - 1} were removed from the export.`;
      return this.#wrong(sentence, 'rows_removed', { position: this.#position + 1 });
    }
    const { after_position: after = 0, since = null } = this.#header ?? {};
    const isFirst = after > 0 && this.#position === after;
    if (isFirst && (since === null || row.sealed_at >= microseconds(since))) {
      const sentence = `The export begins at position ${position}, and nothing shows that what stands before it is of another time.`;
      return this.#wrong(sentence, 'rows_removed', { position: after });
    }
    const place = { position, rowHash: Buffer.from(row.row_sha256, 'hex'), sealedAt: row.sealed_at };
    const linked = chainHash(this.#chain, place).toString('hex');
    const stored = row.kind === 'event' ? row.chain_sha256 : linked;
    if (stored !== linked) {
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
    if (beyond[0] !== undefined) {
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

type LineReading = { readonly line: ExportLine } | { readonly problem: string };

/** A line, or why it is none: what two readers could read as two things is none either. */
function parse(text: string): LineReading {
  const json = readJson(text);
  if (!json.ok) return { problem: problemLine(json.problem, 'The line') };
  const { data, error } = exportLine.safeParse(json.value);
  if (data !== undefined) return { line: data };
  const [issue] = error.issues;
  return { problem: [...(issue?.path ?? []), issue?.message].join(': ') };
}

/** A time (ISO 8601, UTC) with as many digits as the chain has: such texts stand in the order of time. */
function microseconds(time: string): string {
  const [seconds = '', fraction = ''] = time.replace('Z', '').split('.');
  return `${seconds}.${fraction.slice(0, 6).padEnd(6, '0')}Z`;
}
