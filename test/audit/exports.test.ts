import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { anchorLine, endLine, eventLine, headerLine, linkLine, type ExportHeader } from '../../src/audit/export.ts';
import { rowHash, type AuditedEvent } from '../../src/audit/audited-event.ts';
import { chainHash, emptyChain } from '../../src/audit/chain.ts';
import { describeExport } from '../../src/audit/describe.ts';
import { verifyExport } from '../../src/audit/verify-export.ts';
import { readAnchorCopies, readChainHash, readSealedEvents } from '../../src/postgres/audit-reads.ts';
import { auditLab, publicKeyOf } from '../support/audit-lab.ts';

const lab = auditLab();
const application = randomUUID();
const other = randomUUID();
const LENGTH = 9;

beforeAll(async () => {
  for (let n = 0; n < 3; n += 1) {
    await lab.write(application, 3);
    await lab.write(other, 3);
    await lab.seal();
    await lab.anchor();
  }
});

interface Choice {
  readonly after?: number;
  readonly keeps?: (position: number) => boolean;
  readonly withLinks?: boolean;
  readonly header?: Partial<ExportHeader>;
}

/** A filter that takes every event. */
const FILTER = { until: '2999-01-01T00:00:00.0Z' };

/** The lines of an export, as the server writes them. */
async function exported({ after = 0, keeps = () => true, withLinks = true, header = {} }: Choice = {}): Promise<
  string[]
> {
  return lab.tenants.withTenant(application, async (tx) => {
    const page = { afterPosition: after, limit: 1000 };
    const anchors = await readAnchorCopies(tx, application, page);
    const events = await readSealedEvents(tx, application, page);
    const before = await readChainHash(tx, application, after);
    const rows = events.flatMap((event) => {
      if (keeps(event.position)) return [eventLine(event)];
      return withLinks ? [linkLine(event)] : [];
    });
    const kept = events.filter(({ position }) => keeps(position)).length;
    return [
      headerLine({
        applicationId: application,
        exportedAt: '2026-11-05T10:00:00.000000Z',
        since: null,
        until: null,
        ...header,
        after: before === null ? null : { position: after, chainSha256: before },
      }),
      ...anchors.map(anchorLine),
      ...rows,
      endLine({ events: kept, links: rows.length - kept, anchors: anchors.length }),
    ];
  });
}

async function* each(lines: readonly string[]) {
  for (const line of lines) yield await Promise.resolve(line.trimEnd());
}
const keys = () => [publicKeyOf(lab.signer)];
const verify = (lines: readonly string[], publicKeys: readonly Uint8Array[] | null = keys()) =>
  verifyExport(each(lines), publicKeys);
const codes = async (lines: readonly string[]) => (await verify(lines)).findings.map(({ code }) => code);
const isEvent = (line: string) => line.includes('"kind":"event"');
const indexOfEvent = (lines: readonly string[], position: number) =>
  lines.findIndex((line) => isEvent(line) && line.includes(`"position":${position},`));

describe('an export', () => {
  it('of everything verifies offline, to its last anchor', async () => {
    const report = await verify(await exported());
    expect(report).toMatchObject({
      applicationId: application,
      events: LENGTH,
      links: 0,
      lastPosition: LENGTH,
      lastAnchor: { position: LENGTH },
      unproven: 0,
      findings: [],
    });
    expect(describeExport(report, { withAnchors: true })).toContain('is genuine, and agrees.');
  });

  it('verifies without anchors too, and says what that is worth', async () => {
    const report = await verify(await exported(), null);
    expect(report.findings).toEqual([]);
    expect(describeExport(report, { withAnchors: false })).toContain('recomputed as a whole');
  });

  it('that begins further on is tied to the chain by its anchors', async () => {
    expect(
      await verify(await exported({ after: 4, header: { since: '2999-01-01T00:00:00Z' }, keeps: () => false })),
    ).toMatchObject({
      events: 0,
      links: 5,
      after: 4,
      lastAnchor: { position: LENGTH },
      unproven: 0,
      findings: [],
    });
  });

  it('of a filter proves every event of it, by the links of the others', async () => {
    const report = await verify(await exported({ keeps: (position) => position % 2 === 0, header: FILTER }));
    expect(report).toMatchObject({ events: 4, links: 5, unproven: 0, findings: [] });
    expect(describeExport(report, { withAnchors: true })).toContain('A filter left out 5 events');
  });

  it('fails when events are left out that no filter leaves out', async () => {
    const keeps = (position: number) => position !== 5;
    for (const header of [{}, FILTER]) {
      expect(await codes(await exported({ keeps, withLinks: false, header }))).toEqual(['rows_removed']);
    }
    expect(await codes(await exported({ keeps }))).toEqual(['export_altered']);
    expect(await codes(await exported({ header: { since: '2999-01-01T00:00:00.0Z' } }))).toEqual(['export_altered']);
    expect(await codes(await exported({ header: { until: '2000-01-01T00:00:00.0Z' } }))).toEqual(['export_altered']);
    for (const since of [null, '2000-01-01T00:00:00.0Z']) {
      expect(await codes(await exported({ after: 4, header: { since } }))).toEqual(['rows_removed']);
    }
  });

  it('fails when its links say another time of sealing, by which an export begins', async () => {
    const lines = await exported({ keeps: () => false, header: FILTER });
    const at = lines.findIndex((line) => line.includes('"link"'));
    const moved = lines.with(at, (lines[at] ?? '').replace(/"sealed_at":"\d{4}/, '"sealed_at":"2001'));
    expect(await codes(moved)).toEqual(['recomputed']);
  });

  it('fails, and says why, when a line has what the server does not write', async () => {
    const lines = await exported();
    const at = indexOfEvent(lines, 4);
    const line = lines[at] ?? '';
    const [doubled] = /"event":\{.*?\}/.exec(line) ?? [];
    for (const [written, why] of [
      [line.replace('"event":{', '"event":{"note":"x",'), /Line 8 .*event: .*"note"/],
      [line.replace('{', '{"note":"x",'), /Line 8 .*"note"/],
      [line.replace('{', `{${doubled},`), /Line 8 .*event: It stands there twice/],
    ] as const) {
      const { findings } = await verify(lines.with(at, written));
      expect(findings).toMatchObject([{ code: 'export_altered', sentence: expect.stringMatching(why) }]);
    }
    const header = (lines[0] ?? '').replace('{', '{"complete":false,');
    expect(await codes(lines.with(0, header))).toEqual(['export_altered']);
  });

  it('shows no more of an event that is left out than its place', async () => {
    const [link] = (await exported({ keeps: (position) => position !== 5, header: FILTER })).filter((line) =>
      line.includes('"link"'),
    );
    expect(Object.keys(JSON.parse(link ?? '') as object).toSorted()).toEqual([
      'kind',
      'position',
      'row_sha256',
      'sealed_at',
    ]);
  });

  it('fails when any character of an event, a hash or an anchor changes', async () => {
    const lines = await exported();
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), async (line, character) => {
        const altered = [...lines];
        const at = 1 + (line % (lines.length - 2));
        const text = altered[at] ?? '';
        // Only values: a hexadecimal digit, or a digit, for another one.
        const places = [...text.matchAll(/(?<=:"[^"]*)[0-9a-f](?=[^"]*")/g)].map(({ index }) => index);
        const place = places[character % places.length] ?? 0;
        altered[at] = `${text.slice(0, place)}${text[place] === '0' ? '1' : '0'}${text.slice(place + 1)}`;
        expect(await codes(altered), `${text} at ${place}`).toHaveLength(1);
      }),
      { numRuns: 200 },
    );
  });

  it('names an event that was altered, with its place', async () => {
    const lines = await exported();
    const at = indexOfEvent(lines, 4);
    lines[at] = (lines[at] ?? '').replace('manual_review', 'automatic');
    expect((await verify(lines)).findings).toMatchObject([{ code: 'event_altered', position: 4 }]);
  });

  it('fails when rows are removed, moved or doubled, or the tail or the last line is cut', async () => {
    const lines = await exported();
    const [at, after] = [indexOfEvent(lines, 4), indexOfEvent(lines, 5)];
    const [row = '', next = ''] = [lines[at], lines[after]];
    expect(await codes(lines.toSpliced(at, 1))).toEqual(['rows_removed']);
    expect(await codes(lines.toSpliced(at, 2, next, row))).toEqual(['rows_removed']);
    expect(await codes(lines.toSpliced(at, 0, row))).toEqual(['reordered']);
    expect(await codes(lines.slice(0, -1))).toEqual(['export_cut']);
    expect(await codes(lines.toSpliced(-2, 1))).toEqual(['export_cut']);
    const shorter = endLine({ events: LENGTH - 1, links: 0, anchors: 3 });
    expect(await codes([...lines.slice(0, -2), shorter])).toEqual(['tail_cut']);
    expect(await codes([...lines, row])).toEqual(['export_altered']);
    expect(await codes(lines.slice(1))).toEqual(['export_altered']);
    expect(await codes([])).toEqual(['export_cut']);
    expect(await codes(['no json'])).toEqual(['export_altered']);
  });

  it('fails when it was recomputed as a whole', async () => {
    const lines = await exported();
    let head = emptyChain(application);
    const recomputed = lines.map((line) => {
      if (!isEvent(line)) return line;
      const {
        position,
        event,
        sealed_at: sealedAt,
      } = JSON.parse(line) as {
        position: number;
        event: AuditedEvent;
        sealed_at: string;
      };
      const mended = position === 5 ? { ...event, reason: 'mended' } : event;
      const row = rowHash(mended);
      head = { position, chainHash: chainHash(head.chainHash, { position, rowHash: row, sealedAt }) };
      const hashes = { rowSha256: row.toString('hex'), chainSha256: head.chainHash.toString('hex') };
      return eventLine({ position, sealedAt, event: mended, ...hashes });
    });
    const { findings } = await verify(recomputed);
    expect(findings).toMatchObject([{ code: 'recomputed', position: 4 }]);
    expect(findings[0]?.sentence).toContain('the last that agrees is at position 3');
    const withoutAnchors = [
      ...recomputed.filter((line) => !line.includes('"kind":"anchor"')).slice(0, -1),
      endLine({ events: LENGTH, links: 0, anchors: 0 }),
    ];
    expect(await codes(withoutAnchors)).toEqual(['no_anchor']);
  });

  it('takes nothing of another application', async () => {
    const lines = await exported();
    const foreign = await lab.tenants.withTenant(other, (tx) =>
      readSealedEvents(tx, other, { afterPosition: 0, limit: 1 }),
    );
    const at = indexOfEvent(lines, 1);
    expect(await codes(lines.with(at, foreign.map(eventLine).join('')))).toEqual(['event_altered']);
    const [anchor] = await lab.tenants.withTenant(other, (tx) =>
      readAnchorCopies(tx, other, { afterPosition: 0, limit: 1 }),
    );
    if (anchor === undefined) throw new Error('the other one is anchored');
    expect(await codes(lines.with(1, anchorLine(anchor)))).toEqual(['export_altered']);
    expect(await codes(lines.with(0, (lines[0] ?? '').replace(application, other)))).toHaveLength(1);
  });
});
