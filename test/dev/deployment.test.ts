import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../src/domain/temporal-names.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('a deployment registers the search attributes that runs set', () => {
  const registered = read('docker/temporal-namespace.sh').match(/Handoff\w+:\w+/g);
  expect(registered).toEqual(Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => `${name}:${type}`));
});

test('no secret of a deployment has a default, and the example names each of them', () => {
  const uses = read('docker-compose.yml').match(/\$\{\w*(?:PASSWORD|KEY|SECRET)\w*[^}]*\}/g) ?? [];
  const names = [...new Set(uses.map((use) => /\w+/.exec(use)?.[0] ?? ''))].sort();
  expect(names).toEqual([
    'ACCESS_TOKEN_KEY',
    'AUDIT_SIGNING_KEY',
    'BLIND_INDEX_KEY',
    'CONTENT_ENCRYPTION_KEYS',
    'HANDOFF_DB_PASSWORD',
    'HANDOFF_SERVER_DB_PASSWORD',
    'HANDOFF_WEBHOOKS_DB_PASSWORD',
    'HANDOFF_WORKER_DB_PASSWORD',
    'KEY_ENCRYPTION_KEYS',
    'MEDIA_LINK_KEY',
    'POSTGRES_PASSWORD',
    'TEMPORAL_DB_PASSWORD',
  ]);
  for (const use of uses) expect(use).toMatch(/^\$\{\w+:\?set it to /);
  const empty = read('docker/compose.env.example').match(/^\w+(?==$)/gm) ?? [];
  expect(empty.toSorted()).toEqual([...names, 'PUBLIC_URL'].toSorted());
});
