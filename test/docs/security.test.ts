import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { document, PROJECT } from '../support/markdown.ts';

/** Rows of the threat table, by their number: the cell that names the tests. */
const rows = new Map(
  document('SECURITY.md')
    .split('\n')
    .filter((line) => /^\| \d+[a-z]? +\|/.test(line))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map((cells): [string, string] => [cells[1] ?? '', cells[4] ?? '']),
);

/** Threats of the specification; those that come later say so in their row. */
const THREATS = '1 2 2b 2c 3 3b 4 4b 4c 5 6 6b 7 8 9 10 11 11b 12 13 14 15 16 17 18'.split(' ');
const LATER = ['3b', '9', '16'];

it('the threat model has every row', () => {
  expect([...rows.keys()]).toEqual(THREATS);
});

describe('every threat names the test that proves its defence', () => {
  it.each(THREATS.filter((threat) => !LATER.includes(threat)))('row %s', (threat) => {
    const links = [...(rows.get(threat) ?? '').matchAll(/\[([^\]]+)\]\(([^)]+)\)/g)];
    expect(links.length).toBeGreaterThan(0);
    for (const [, title = '', path = ''] of links) {
      expect(existsSync(join(PROJECT, path)), path).toBe(true);
      // A link's text is the test's own title, or the start of it.
      if (path.endsWith('.test.ts')) expect(readFileSync(join(PROJECT, path), 'utf8')).toContain(title);
    }
  });
});
