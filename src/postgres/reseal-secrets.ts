import type { Sealer } from '../crypto/payload-seal.ts';
import { openIngestSecret, sealIngestSecret } from './ingest-secrets.ts';
import type { Tenants } from './tenants.ts';
import { openSecret, sealSecret } from './webhook-secrets.ts';

/** What came of sealing anew. */
export interface Resealed {
  readonly resealed: number;
  /** Of the secrets that no key opens: which destination's, or application's that ingests. They stay as they are. */
  readonly unreadable: readonly string[];
}

/** Secrets that one transaction seals. */
const BATCH = 100;

interface SecretRow {
  readonly id: string;
  /** The destination, or the application, whose secret it is. */
  readonly ownerId: string;
  readonly applicationId: string;
  readonly sealed: Buffer;
}

/** Every column with secrets: its table's key, and how one is sealed anew. */
const KINDS = [
  {
    table: 'webhook_secret',
    column: 'sealed',
    id: 'secret_id',
    owner: 'destination_id',
    anew: (sealer: Sealer, { applicationId, ownerId, sealed }: SecretRow) =>
      sealSecret(sealer, applicationId, ownerId, openSecret(sealer, applicationId, ownerId, sealed)),
  },
  ...['sealed', 'previous'].map((column) => ({
    table: 'ingest_secret',
    column,
    id: 'application_id',
    owner: 'application_id',
    anew: (sealer: Sealer, { applicationId, sealed }: SecretRow) =>
      sealIngestSecret(sealer, applicationId, openIngestSecret(sealer, applicationId, sealed)),
  })),
];

/**
 * Seals anew every secret that is not sealed with the active key: those of before there were keys, and those of a key
 * that was replaced, which can leave the ring afterwards. What another server, or a rotation, has at this moment is left
 * to it.
 */
export async function resealSecrets(tenants: Tenants, sealer: Sealer): Promise<Resealed> {
  let resealed = 0;
  const unreadable: string[] = [];
  for (const kind of KINDS) {
    let after: string | undefined = '00000000-0000-0000-0000-000000000000';
    while (after !== undefined) {
      const batch = await resealBatch(tenants, sealer, kind, after);
      resealed += batch.resealed;
      unreadable.push(...batch.unreadable);
      after = batch.last;
    }
  }
  return { resealed, unreadable };
}

/** One batch of those after an id; `last` is the last id of a batch that was full. */
function resealBatch(
  tenants: Tenants,
  sealer: Sealer,
  { table, column, id, owner, anew }: (typeof KINDS)[number],
  after: string,
): Promise<Resealed & { readonly last: string | undefined }> {
  return tenants.acrossTenants('provision', async (tx) => {
    const currentHeader = sealer.currentHeader('secret');
    const rows = await tx.query<SecretRow & Record<string, unknown>>(
      `select ${id} as id, ${owner} as "ownerId", application_id as "applicationId", ${column} as sealed from ${table}
       where ${id} > $1 and substring(${column} for $2) <> $3 order by ${id} limit ${BATCH} for update skip locked`,
      [after, currentHeader.length, currentHeader],
    );
    const ids: string[] = [];
    const secrets: Buffer[] = [];
    const unreadable: string[] = [];
    for (const row of rows) {
      try {
        secrets.push(anew(sealer, row));
        ids.push(row.id);
      } catch {
        unreadable.push(row.ownerId);
      }
    }
    tx.send(
      `update ${table} s set ${column} = anew.sealed from unnest($1::uuid[], $2::bytea[]) as anew(id, sealed)
       where s.${id} = anew.id`,
      [ids, secrets],
    );
    return { resealed: ids.length, unreadable, last: rows.length === BATCH ? rows.at(-1)?.id : undefined };
  });
}
