import { expect, it } from 'vitest';
import { FAILURES } from '../../src/domain/failures.ts';
import { ONBOARDING_STATUSES } from '../../src/domain/onboarding.ts';
import { document } from '../support/markdown.ts';

it('documents every failure code with its status and sentence, and no other', () => {
  const rows = new Map(
    [...document('docs/errors.md').matchAll(/^\| `(\w+)`\s*\| (\d{3})\s*\| (yes)?\s*\| (.+?)\s*\|$/gm)].map(
      ([, code = '', status, mendable, detail]) => [
        code,
        { status: Number(status), mendable: mendable === 'yes', detail },
      ],
    ),
  );
  const real = Object.entries(FAILURES).map(
    ([code, failure]) =>
      [code, { status: failure.status, mendable: 'mendable' in failure, detail: failure.detail }] as const,
  );
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(real));
});

it('documents every status of an onboarding', () => {
  const text = document('docs/api.md');
  expect(ONBOARDING_STATUSES.filter((status) => !text.includes(`\`${status}\``))).toEqual([]);
});

it('names only npm scripts that exist', () => {
  const { scripts } = JSON.parse(document('package.json')) as { scripts: Record<string, string> };
  const documents = ['README.md', 'docs/operations.md', 'docs/agent-prompt.md', 'docs/api.md', 'samples/README.md'];
  const named = documents.flatMap((path) =>
    [...document(path).matchAll(/npm run (?:--silent )?([\w:]+)/g)].map((match) => match[1] ?? ''),
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});
