import type { PayloadSealer, SealContext } from '../sharing/ports.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** How long a secret that was replaced goes on verifying, so that it can be replaced here first and at Didit after. */
const GRACE = `interval '24 hours'`;

/** Whether Didit's secret is set; times are ISO 8601. */
export interface IngestSecretState {
  readonly updatedAt: string;
  /** Until when the secret before it verifies too; null when there is none. */
  readonly previousUntil: string | null;
}

const STATE = `${isoColumn('updated_at')} as "updatedAt",
  case when previous_until > handoff_now() then ${isoColumn('previous_until')} end as "previousUntil"`;

/** Null when no secret is set. */
export async function readIngestSecret(tx: Transaction, applicationId: string): Promise<IngestSecretState | null> {
  const [row] = await tx.query<IngestSecretState & Record<string, unknown>>(
    `select ${STATE} from ingest_secret where application_id = $1`,
    [applicationId],
  );
  return row ?? null;
}

/** Sets the secret; another one before it goes on verifying for a while. */
export async function writeIngestSecret(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  secret: string,
): Promise<IngestSecretState> {
  const [present] = await tx.query<{ sealed: Buffer }>(
    'select sealed from ingest_secret where application_id = $1 for update',
    [applicationId],
  );
  const repeated = present !== undefined && openIngestSecret(sealer, applicationId, present.sealed) === secret;
  const [row] = await tx.query<IngestSecretState & Record<string, unknown>>(
    repeated
      ? `update ingest_secret set updated_at = handoff_now() where application_id = $1 returning ${STATE}`
      : `insert into ingest_secret as s (application_id, sealed) values ($1, $2)
         on conflict (application_id) do update
           set sealed = excluded.sealed, previous = s.sealed, previous_until = handoff_now() + ${GRACE},
               updated_at = handoff_now()
         returning ${STATE}`,
    repeated ? [applicationId] : [applicationId, sealIngestSecret(sealer, applicationId, secret)],
  );
  if (row === undefined) throw new Error('a secret that was written is there');
  return row;
}

/** Takes the secret away, and the one before it; resolves to whether there was one. */
export async function deleteIngestSecret(tx: Transaction, applicationId: string): Promise<boolean> {
  const rows = await tx.query('delete from ingest_secret where application_id = $1 returning 1', [applicationId]);
  return rows.length > 0;
}

/**
 * What a webhook for an application may be signed with, current first, and the time by the database's clock in Unix
 * seconds. An application that is not there has no secrets.
 */
export async function verifyingSecrets(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
): Promise<{ readonly now: number; readonly secrets: readonly string[] }> {
  const [row] = await tx.query<{ now: number; sealed: Buffer | null; previous: Buffer | null }>(
    `select extract(epoch from handoff_now())::float8 as now, s.sealed,
       case when s.previous_until > handoff_now() then s.previous end as previous
     from (select 1) one left join ingest_secret s on s.application_id = $1`,
    [applicationId],
  );
  if (row === undefined) throw new Error('a look at the clock has a row');
  const sealed = [row.sealed, row.previous].filter((secret) => secret !== null);
  return { now: row.now, secrets: sealed.map((secret) => openIngestSecret(sealer, applicationId, secret)) };
}

/** What a secret is stored as. */
export function sealIngestSecret(sealer: PayloadSealer, applicationId: string, secret: string): Buffer {
  return sealer.sealPayload(ingestSecretContext(applicationId), secret);
}

/** What an application's ingestion secrets are bound to. */
export function ingestSecretContext(applicationId: string): SealContext {
  return { applicationId, sessionId: applicationId, category: 'ingest_secret', position: 0 };
}

/** The text of a stored secret. */
export function openIngestSecret(sealer: PayloadSealer, applicationId: string, sealed: Buffer): string {
  const secret = sealer.openPayload(ingestSecretContext(applicationId), sealed);
  if (typeof secret !== 'string') throw new Error('a stored secret is text');
  return secret;
}
