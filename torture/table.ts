import type { Row } from './part.ts';

/** A row with the part that it is of. */
export interface TableRow extends Row {
  readonly part: string;
}

/** The rows as text in columns. */
export function table(rows: readonly TableRow[]): string {
  const cells = [
    ['part', 'what', 'expected', 'seen', ''],
    ...rows.map(({ part, what, expected, seen, ok }) => [part, what, expected, seen, ok ? 'ok' : 'FAIL']),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return cells.map((row) => line(row).trimEnd()).join('\n');
}
