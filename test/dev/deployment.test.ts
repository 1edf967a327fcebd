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

/** Services of a Compose file, by name. */
function servicesOf(path: string): Map<string, string> {
  const [, services = ''] = /^services:\n([\s\S]*?)(?=^\S)/m.exec(`${read(path)}\nend:\n`) ?? [];
  return new Map(
    services
      .split(/^(?= {2}[\w-]+:$)/m)
      .map((block): [string, string] => [/^ {2}([\w-]+):$/m.exec(block)?.[1] ?? '', block]),
  );
}

test('nobody outside the host reaches Temporal, its UI or the codec server; the UI changes nothing', () => {
  const base = servicesOf('docker-compose.yml');
  const codec = servicesOf('docker-compose.codec.yml');
  expect([...base.keys()]).toEqual(expect.arrayContaining(['temporal', 'temporal-ui', 'postgres', 'server', 'worker']));
  const published = [...base, ...codec].flatMap(([name, block]) =>
    [...block.matchAll(/^ {6}- '([^']*:\d+)'$/gm)].map((match): [string, string] => [name, match[1] ?? '']),
  );
  expect(new Set(published.map(([name]) => name))).toEqual(new Set(['server', 'temporal-ui', 'codec']));
  expect(published.filter(([, port]) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  expect(base.get('temporal')).not.toMatch(/^ {4}ports:/m);
  expect(base.get('temporal')).toContain('networks: [internal]');
  expect(base.get('temporal-ui')).toContain("TEMPORAL_DISABLE_WRITE_ACTIONS: 'true'");
});

test('the codec’s own Compose file gives its keys to those who need them, and none a default', () => {
  const text = read('docker-compose.codec.yml');
  const uses = text.match(/\$\{\w*(?:PASSWORD|KEY|SECRET|OPERATORS)\w*[^}]*\}/g) ?? [];
  expect(uses).toHaveLength(4);
  for (const use of uses) expect(use).toMatch(/^\$\{\w+:\?set it to /);
  const services = servicesOf('docker-compose.codec.yml');
  for (const name of ['server', 'webhooks', 'worker', 'codec']) {
    expect(services.get(name), name).toContain('<<: *handoff-codec');
  }
  const named = new Set(
    read('docker/compose.env.example')
      .match(/^#?\w+(?==)/gm)
      ?.map((name) => name.replace('#', '')),
  );
  const used = [...text.matchAll(/\$\{(\w+)/g)].map((match) => match[1] ?? '');
  expect(used.filter((name) => !named.has(name))).toEqual([]);
});
