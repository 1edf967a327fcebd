import type { DatabaseReport } from './verify-database.ts';
import type { ExportReport } from './verify-export.ts';

const COLUMNS = ['application', 'verified', 'anchored up to', 'of', 'waiting', 'result'] as const;

/** What a verification of the database says: a table, a sentence for each thing that is wrong, what it proves. */
export function describeDatabase(
  { applications, findings, halfLines }: DatabaseReport,
  { withAnchors, withPayloads }: { readonly withAnchors: boolean; readonly withPayloads: boolean },
): string {
  const lines = applications.map(({ applicationId, sound, rows, newestAnchor, waiting, finding }) => [
    applicationId,
    sound === rows ? String(sound) : `up to ${sound} of ${rows}`,
    newestAnchor === null ? '-' : String(newestAnchor.position),
    newestAnchor?.anchored_at ?? '-',
    String(waiting),
    finding?.code ?? 'ok',
  ]);
  const sealed = applications.reduce((sum, { sound }) => sum + sound, 0);
  const beyond = applications.reduce((sum, { sound, lastAnchor }) => sum + sound - (lastAnchor?.position ?? 0), 0);
  const waiting = applications.reduce((sum, one) => sum + one.waiting, 0);
  const proven =
    findings.length > 0
      ? []
      : [
          `Every one of ${sealed} sealed events of ${applications.length} applications is as it was sealed, in its place.`,
          ...(withAnchors ? [] : [WITHOUT_ANCHORS]),
          ...(withAnchors && beyond > 0
            ? [`Of these, ${beyond} came after the last anchor: nothing outside the database shows them yet.`]
            : []),
          ...(waiting > 0 ? [`Not sealed yet: ${waiting}.`] : []),
        ];
  return [
    ...table([[...COLUMNS], ...lines]),
    '',
    ...findings.map(({ sentence }) => `FAILED: ${sentence}`),
    ...proven,
    ...(halfLines > 0
      ? [`Lines of the anchor store that are not whole, as a write that dies leaves them: ${halfLines}.`]
      : []),
    ...(withPayloads ? [] : ['Payloads were not compared with what was sealed: set CONTENT_ENCRYPTION_KEYS for that.']),
  ].join('\n');
}

const WITHOUT_ANCHORS =
  'Without anchors that proves no more than that nobody altered it by halves: a chain that was recomputed as a whole, or cut off at its end, looks the same.';

/** What a verification of an export says. */
export function describeExport(report: ExportReport, { withAnchors }: { readonly withAnchors: boolean }): string {
  const { applicationId, events, links, after, lastPosition, lastAnchor, unproven, findings } = report;
  const whose = `Export of ${applicationId ?? 'nothing that is known'}`;
  if (findings.length > 0) {
    const reached = `${whose}: verified up to position ${lastPosition} of ${report.rows}.`;
    return [reached, ...findings.map(({ sentence }) => `FAILED: ${sentence}`)].join('\n');
  }
  const head = `${whose}: ${events} events, positions ${after + 1} to ${lastPosition}.`;
  return [
    head,
    'Every event in it has the hash that it was sealed with.',
    ...(links > 0
      ? [`A filter left out ${links} events, whose places are there: nothing else is missing between.`]
      : []),
    'Every row follows the one before it.',
    ...(withAnchors && lastAnchor !== null
      ? [`The anchor of ${lastAnchor.anchored_at} at position ${lastAnchor.position} is genuine, and agrees.`]
      : []),
    ...(withAnchors ? [] : [WITHOUT_ANCHORS]),
    ...(withAnchors && unproven > 0 ? [`Not proven by any anchor in it: ${unproven} events.`] : []),
    `It proves nothing of what came after ${endOf(report)}, or that nothing did: compare its end with another export, or with the operator's anchors.`,
  ].join('\n');
}

/** How far an export goes. */
function endOf({ lastPosition, lastTime }: ExportReport): string {
  return `position ${lastPosition}${lastTime === null ? '' : `, of ${lastTime}`}`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = COLUMNS.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
