import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readJson } from '../../src/domain/strict-json.ts';
import { quantile } from '../api-server.ts';
import type { Part, Row } from '../part.ts';

const MIB = 1024 * 1024;
const SAMPLES = join(import.meta.dirname, '..', '..', 'samples');

/** What reading a body strictly costs beside JSON.parse. */
export const strictBodies: Part = {
  name: 'bodies',
  shows: 'strict reading of 1 MiB beside JSON.parse: decision documents, and what is made to be slow',
  run: async () => {
    const samples = globSync('*.json', { cwd: SAMPLES }).map((file) => readFileSync(join(SAMPLES, file), 'utf8'));
    const documents = filled(samples.map((text) => JSON.stringify(JSON.parse(text))));
    const hostile: Record<string, string> = {
      'many small objects': filled(['{"a":1}']),
      'many numbers': filled(['-1.2345678901e-12']),
      'many escapes': filled(['"\\u0001\\u0002"']),
      'one text of escapes': JSON.stringify('"'.repeat(MIB / 2)),
      'one wide object': `{${Array.from({ length: 80_000 }, (_, index) => `"key${index}":0`).join(',')}}`,
    };
    return [
      rowOf('decision documents', documents, 4),
      ...Object.entries(hostile).map(([what, text]) => rowOf(what, text, 8)),
    ];
  },
};

/** An array of these texts over and over, of 1 MiB. */
function filled(texts: readonly string[]): string {
  const items: string[] = [];
  for (let size = 0; size < MIB; size += items.at(-1)?.length ?? 1)
    items.push(texts[items.length % texts.length] ?? '0');
  return `[${items.join(',')}]`;
}

function rowOf(what: string, text: string, most: number): Row {
  const plain = medianMs(() => JSON.parse(text) as unknown);
  const strict = medianMs(() => readJson(text));
  const ratio = strict / plain;
  return {
    what: `1 MiB: ${what}`,
    expected: `≤ ${most} × JSON.parse`,
    seen: `${ratio.toFixed(1)} × (${strict.toFixed(1)} ms)`,
    ok: ratio <= most,
  };
}

function medianMs(work: () => unknown): number {
  const times = Array.from({ length: 25 }, () => {
    const begun = performance.now();
    work();
    return performance.now() - begun;
  });
  return quantile(times, 0.5);
}
