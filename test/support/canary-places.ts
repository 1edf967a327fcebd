import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { escapeIdentifier, type Pool } from 'pg';

/** Bytes of a place that is searched, by the place's name. */
export type Places = Readonly<Record<string, Buffer>>;

/**
 * Every column of every table of a database, as `table.column`: texts as they are, `bytea` as its bytes, anything else as
 * Postgres writes it.
 *
 * @param pool of a superuser
 */
export async function columnsOf(pool: Pool): Promise<Places> {
  const { rows: columns } = await pool.query<{ table: string; column: string; bytes: boolean }>(
    `select c.relname as "table", a.attname as "column", a.atttypid = 'bytea'::regtype as bytes
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1, a.attnum`,
  );
  const places: Record<string, Buffer> = {};
  for (const { table, column, bytes } of columns) {
    const name = escapeIdentifier(column);
    const value = bytes ? name : `convert_to(${name}::text, 'UTF8')`;
    const { rows } = await pool.query<{ all: Buffer | null }>(
      `select string_agg(${value}, '\\x00'::bytea) as "all" from ${escapeIdentifier(table)}`,
    );
    places[`${table}.${column}`] = rows[0]?.all ?? Buffer.alloc(0);
  }
  return places;
}

/** Every file below a folder, by its path in it; its name is searched too. */
export function filesOf(folder: string): Places {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.flatMap(({ parentPath, name }) => {
      const path = join(parentPath, name);
      const bytes = bytesOf(path);
      return bytes === null ? [] : [[path.slice(folder.length + 1), Buffer.concat([Buffer.from(`${path}\0`), bytes])]];
    }),
  );
}

/** A file of a running server; null when it is gone by now. */
function bytesOf(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return null;
    throw error;
  }
}

/** Texts as places. */
export function textsOf(texts: Readonly<Record<string, string>>): Places {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text)]));
}
