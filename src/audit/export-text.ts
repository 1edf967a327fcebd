import { readExportRows, readExportSpan } from '../postgres/audit-export.ts';
import { readAnchorCopies } from '../postgres/audit-reads.ts';
import type { Transaction } from '../postgres/tenants.ts';
import type { Anchor } from './anchors.ts';
import { anchorLine, endLine, eventLine, headerLine, linkLine } from './export.ts';

/** Rows that are read, and held, at a time. */
const BATCH = 500;

/** Which events an export has, of the rows of its chain: ISO 8601, both ends included. */
export interface ExportTime {
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

/**
 * An application's audit trail as it stood at the first read, as the text of an export (`export.ts`), a batch at a
 * time. Events outside the time are links, so that the rest can be proven.
 *
 * @param within runs a read in a transaction of its own: none lasts as long as the reader takes
 */
export async function* exportText(
  within: <T>(work: (sql: Pick<Transaction, 'query'>) => Promise<T>) => Promise<T>,
  applicationId: string,
  time: ExportTime,
): AsyncGenerator<string, void> {
  const { exportedAt, after, upTo } = await within((sql) => readExportSpan(sql, applicationId, time.since));
  const { since = null, until = null } = time;
  yield headerLine({ applicationId, exportedAt, since, until, after });
  const counts = { events: 0, links: 0, anchors: 0 };

  for await (const anchors of anchorsBetween(after?.position ?? 0, upTo)) {
    counts.anchors += anchors.length;
    yield anchors.map(anchorLine).join('');
  }
  for (let position = after?.position ?? 0; position < upTo;) {
    const page = { afterPosition: position, upTo, limit: BATCH };
    const rows = await within((sql) => readExportRows(sql, applicationId, page, time));
    const last = rows.at(-1);
    if (last === undefined) break;
    position = last.event.position;
    const events = rows.filter(({ wanted }) => wanted).length;
    counts.events += events;
    counts.links += rows.length - events;
    yield rows.map(({ wanted, event }) => (wanted ? eventLine(event) : linkLine(event))).join('');
  }
  yield endLine(counts);

  async function* anchorsBetween(begin: number, end: number): AsyncGenerator<Anchor[], void> {
    for (let position = begin; position < end;) {
      const page = { afterPosition: position, limit: BATCH };
      const read = await within((sql) => readAnchorCopies(sql, applicationId, page));
      const lastPosition = read.at(-1)?.position ?? end;
      // Anchors of the last position may go on in the next page.
      const whole = read.length < BATCH ? read : read.filter((anchor) => anchor.position < lastPosition);
      const anchors = whole.filter((anchor) => anchor.position <= end);
      yield anchors;
      position = read.length < BATCH || anchors.length === 0 ? end : (anchors.at(-1)?.position ?? end);
    }
  }
}
