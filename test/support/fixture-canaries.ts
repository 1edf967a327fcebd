import { readdirSync, readFileSync } from 'node:fs';
import type { Pool } from 'pg';
import { escapeIdentifier, escapeLiteral } from 'pg';
import { isJsonObject, type JsonValue } from '../../src/domain/json.ts';
import { needleSearch, type Needle } from './needles.ts';

/** A place that every small document of the tests names: it is nowhere else. */
export const FIXTURE_PLACE = 'Canaryholm';

const SAMPLES = new URL('../../samples/', import.meta.url);

/** Members of the samples that name a person or a company, or say where to find them. */
const PERSONAL =
  /^(first_name|last_name|full_name|date_of_birth|document_number|personal_number|mrz_string|address|formatted_address|email|phone_number|company_name|registration_number)$/;
/** Shorter ones are words of other things too. */
const MIN_CHARACTERS = 8;
/** Sealed bytes, as Postgres writes them, hold eight given digits by chance once in a while. */
const HEXADECIMAL = /^[0-9a-f]*$/i;

function personalTexts(value: JsonValue, member = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => personalTexts(item, member));
  if (isJsonObject(value)) return Object.entries(value).flatMap(([key, inner]) => personalTexts(inner, key));
  const searchable = typeof value === 'string' && value.length >= MIN_CHARACTERS && !HEXADECIMAL.test(value);
  return searchable && PERSONAL.test(member) ? [value] : [];
}

const needles: readonly Needle[] = [
  ...new Set([
    FIXTURE_PLACE,
    'Lovelace',
    ...readdirSync(SAMPLES)
      .filter((name) => name.endsWith('.json'))
      .flatMap((name) => personalTexts(JSON.parse(readFileSync(new URL(name, SAMPLES), 'utf8')) as JsonValue)),
  ]),
].map((text) => ({ name: text, text }));

const search = needleSearch(needles);

/** What personal data of the tests' own documents bytes hold, in any form that can be read without a key. */
export function readableIn(bytes: string | Uint8Array): string[] {
  return search.find(Buffer.from(bytes));
}

/**
 * Tables with a row that holds personal data of the tests' own documents readably, each with what was found.
 *
 * @param pool of a superuser
 */
export async function readableTables(pool: Pool): Promise<string[]> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`,
  );
  // As Postgres writes a row: texts as they are, bytes in hexadecimal.
  const looks = tables.map(
    ({ name }) =>
      `(select ${escapeLiteral(name)} as "table", string_agg(t::text, '') as rows from ${escapeIdentifier(name)} t)`,
  );
  const { rows } = await pool.query<{ table: string; rows: string | null }>(looks.join(' union all '));
  return rows.flatMap(({ table, rows: text }) => readableIn(text ?? '').map((found) => `${table}: ${found}`));
}
