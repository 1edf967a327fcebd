import { z } from 'zod';
import { canonicalJson } from '../crypto/canonical-json.ts';
import { AUDITED_COLUMNS, type AuditedEvent } from './audited-event.ts';
import type { Anchor } from './anchors.ts';
import { emptyChain } from './chain.ts';

/*
 * An export of an application's audit trail, as NDJSON in this order: one header; its anchors, in the order of their
 * positions; rows of its chain, in the order of theirs, each as an event or, where a filter leaves the event out, as a bare
 * link; one end. `verify-export.ts` checks one without the database. A link tells no more of its event than when it was
 * sealed, for salt is in the hash. Of a filter with `since`, the first row is the last one that was sealed before it.
 */

export const EXPORT_FORMAT = 'handoff audit export v1';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'is not 64 hexadecimal digits');
/** As it is hashed. */
const microseconds = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'is no time in UTC with microseconds');

const header = z.strictObject({
  kind: z.literal('header'),
  format: z.literal(EXPORT_FORMAT),
  application_id: z.uuid(),
  exported_at: z.string(),
  since: z.string().nullable(),
  until: z.string().nullable(),
  after_position: z.int().nonnegative(),
  after_chain_sha256: sha256,
});

/** The first line. */
export interface ExportHeader {
  readonly applicationId: string;
  /** ISO 8601, by the database's clock. */
  readonly exportedAt: string;
  /** Of which time it has events, both ends included; null without that bound. */
  readonly since: string | null;
  readonly until: string | null;
  /** The place in the chain that the export begins after; null for its beginning. */
  readonly after: { readonly position: number; readonly chainSha256: string } | null;
}

const anchor = z.strictObject({
  kind: z.literal('anchor'),
  application_id: z.uuid(),
  position: z.int().positive(),
  chain_sha256: sha256,
  anchored_at: z.string(),
  key_id: z.string(),
  signature: z.string(),
});

const place = { position: z.int().positive(), sealed_at: microseconds };

const event = z.strictObject({
  kind: z.literal('event'),
  ...place,
  row_sha256: sha256,
  chain_sha256: sha256,
  event: z.strictObject(
    Object.fromEntries(AUDITED_COLUMNS.map((column) => [column, z.string().nullable().default(null)])) as Record<
      (typeof AUDITED_COLUMNS)[number],
      z.ZodDefault<z.ZodNullable<z.ZodString>>
    >,
  ),
});

const link = z.strictObject({ kind: z.literal('link'), ...place, row_sha256: sha256 });

/** The place of an event that is left out. */
export type ExportedLink = Pick<ExportedEvent, 'position' | 'rowSha256' | 'sealedAt'>;

/** An event with its place in the chain. */
export interface ExportedEvent {
  readonly position: number;
  /** Hexadecimal, as is the other one. */
  readonly rowSha256: string;
  readonly chainSha256: string;
  /** ISO 8601 UTC with microseconds. */
  readonly sealedAt: string;
  readonly event: AuditedEvent;
}

const count = z.int().nonnegative();
const end = z.strictObject({ kind: z.literal('end'), events: count, links: count, anchors: count });

/** How many lines of each kind an export has. */
export type ExportCounts = Readonly<Record<'events' | 'links' | 'anchors', number>>;

/** A line of an export. */
export const exportLine = z.discriminatedUnion('kind', [header, anchor, event, link, end]);
export type ExportLine = z.output<typeof exportLine>;

export function headerLine({ applicationId, exportedAt, since, until, after }: ExportHeader): string {
  return text({
    kind: 'header',
    format: EXPORT_FORMAT,
    application_id: applicationId,
    exported_at: exportedAt,
    since,
    until,
    after_position: after?.position ?? 0,
    after_chain_sha256: after?.chainSha256 ?? emptyChain(applicationId).chainHash.toString('hex'),
  });
}

export function anchorLine(kept: Anchor): string {
  return text({ kind: 'anchor', ...kept });
}

export function eventLine({ position, sealedAt, rowSha256, chainSha256, event: columns }: ExportedEvent): string {
  const hashes = { row_sha256: rowSha256, chain_sha256: chainSha256 };
  return text({ kind: 'event', position, sealed_at: sealedAt, ...hashes, event: columns });
}

export function linkLine({ position, sealedAt, rowSha256 }: ExportedLink): string {
  return text({ kind: 'link', position, sealed_at: sealedAt, row_sha256: rowSha256 });
}

/** The last line: an export without it was cut off. */
export function endLine(counts: ExportCounts): string {
  return text({ kind: 'end', ...counts });
}

function text(line: ExportLine): string {
  return `${canonicalJson(line)}\n`;
}
