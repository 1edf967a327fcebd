import { closeSync, globSync, openSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { escapeIdentifier, type Client } from 'pg';
import { needleSearch, type Needle, type NeedleSearch } from '../../test/support/needles.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { markStem } from '../documents.ts';
import type { Invariant } from '../invariant.ts';
import { LEDGER_FILES } from '../ledger.ts';
import { finding, withDatabase } from '../oracle-reading.ts';
import { BUILD_FOLDER } from '../../test/support/production-build.ts';
import { createRandom } from '../random.ts';
import type { Rig } from '../rig.ts';
import { bodyOf } from '../webhook-text.ts';

/** Read at once; a needle that lies over the edge is found in the overlap. */
const PIECE_BYTES = 8 * 1024 * 1024;
const OVERLAP_BYTES = 512;
/** Of a table. */
const PAGES = 1_000;

/** Share tokens that are looked for, of those in answers and of those in webhooks; of customers, every mark is. */
const SOME_TOKENS = 50;

/** I10. What clients and receivers were rightly told is in the ledgers, which are left out. */
export const nothingReadable: Invariant = {
  id: 'I10',
  says: 'personal data and secrets are readable nowhere: database, Temporal, logs, files',
  check: async (rig) => {
    const needles = needlesOf(rig);
    const search = needleSearch(needles);
    const { postgres, temporal } = rig;
    const breaks: string[] = [];
    for (const url of [postgres.url, ...temporal.databases]) {
      breaks.push(
        ...(await withDatabase({ postgres: { ...postgres, url } }, (client) => searchTables(client, search))),
      );
    }
    const files = filesOf(rig);
    const piece = Buffer.alloc(PIECE_BYTES);
    let bytes = 0;
    for (const file of files) {
      const found = searchFile(file, search, piece);
      bytes += found.bytes;
      breaks.push(...found.names.map((name) => `${file} holds ${name}`));
    }
    // A sweep that saw nothing proves nothing.
    for (const [what, looks] of [
      ['log', /\.log$/],
      [
        'file of Temporal',
        temporal.databases.length > 0 ? /temporal-postgres.*PG_VERSION$/ : /temporal.*\.(db|sqlite)$/,
      ],
      ['file of Postgres', /PG_VERSION$/],
    ] as const) {
      if (!files.some((file) => looks.test(file))) breaks.push(`there was no ${what} to look at`);
    }
    const megabytes = Math.round(bytes / 2 ** 20);
    return finding(`${needles.length} needles in ${files.length} files (${megabytes} MiB) and every table`, breaks);
  },
};

function needlesOf({ brands, ledger, seed }: Rig): Needle[] {
  const answered = ledger.calls.flatMap(({ body }) => tokenIn(body));
  const delivered = ledger.heard.flatMap(({ rawBody }) => tokenIn(bodyOf(rawBody)));
  const random = createRandom(seed);
  return [
    ...brands.flatMap((brand) => [
      { name: `customers of ${brand.id}`, text: markStem(brand) },
      { name: `the API key of ${brand.id}`, text: brand.key },
      { name: `the webhook secret of ${brand.id}`, text: brand.secrets.secret_shared_key },
      // Another alphabet of base64, so that it reads otherwise where either has a letter of its own.
      {
        name: `the webhook secret of ${brand.id}`,
        text: brand.secrets.secret_standard_webhooks.replace(/^whsec_|=+$/g, ''),
      },
    ]),
    ...[answered, delivered].flatMap((tokens) =>
      random
        .shuffled([...new Set(tokens)])
        .slice(0, SOME_TOKENS)
        .map((token) => ({ name: 'a share token', text: token.split('.')[2] ?? token })),
    ),
  ];
}

function tokenIn(body: JsonObject | null): string[] {
  const token = body?.['share_token'];
  return typeof token === 'string' ? [token] : [];
}

/** Every table as Postgres writes rows: texts as they are, bytes in hexadecimal. Its files may hold them compressed. */
async function searchTables(client: Client, search: NeedleSearch): Promise<string[]> {
  const { rows: tables } = await client.query<{ name: string; pages: number }>(
    `select relname as name, (pg_relation_size(oid) / 8192)::int as pages from pg_class
     where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`,
  );
  const breaks: string[] = [];
  for (const { name, pages } of tables) {
    const found = new Set<string>();
    // By pages, so that no table is in memory as a whole.
    for (let page = 0; page < pages; page += PAGES) {
      const { rows } = await client.query<{ row: string }>(
        `select t::text as row from ${escapeIdentifier(name)} t where ctid >= '(${page},0)' and ctid < '(${page + PAGES},0)'`,
      );
      for (const hit of search.find(Buffer.from(rows.map(({ row }) => row).join('\n')))) found.add(hit);
    }
    breaks.push(...[...found].map((hit) => `table ${name} holds ${hit}`));
  }
  return breaks;
}

/** Every file of the run but the ledgers and our code: data of Postgres and of Temporal, logs, stored files, anchors. */
function filesOf({ folder }: Pick<Rig, 'folder'>): string[] {
  const ledgers: readonly string[] = Object.values(LEDGER_FILES);
  return globSync('**/*', { cwd: folder, exclude: [`${BUILD_FOLDER}/**`] })
    .map((file) => join(folder, file))
    .filter((file) => !ledgers.includes(basename(file)) && isFile(file));
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

/** @param piece room for what is read at once */
function searchFile(
  file: string,
  search: NeedleSearch,
  piece: Buffer,
): { readonly names: readonly string[]; readonly bytes: number } {
  const names = new Set<string>();
  const descriptor = openSync(file, 'r');
  try {
    let position = 0;
    for (;;) {
      const length = readSync(descriptor, piece, 0, PIECE_BYTES, position);
      for (const name of search.find(piece.subarray(0, length))) names.add(name);
      if (length < PIECE_BYTES) return { names: [...names], bytes: position + length };
      position += length - OVERLAP_BYTES;
    }
  } finally {
    closeSync(descriptor);
  }
}
