import type { SecretSealer } from '../crypto/secret-seal.ts';
import { openIngestSecret, sealIngestSecret } from './ingest-secrets.ts';
import { openSecret, sealSecret } from './webhook-secrets.ts';
import type { Transaction } from './tenants.ts';

interface WebhookSecretRow extends Record<string, unknown> {
  secretId: string;
  destinationId: string;
  applicationId: string;
  sealed: Buffer;
}

interface IngestSecretRow extends Record<string, unknown> {
  applicationId: string;
  sealed: Buffer;
  previous: Buffer | null;
}

/**
 * Seals anew every secret that is not sealed with the active key: those of before there were keys, and those of a key
 * that was replaced, which can leave the ring afterwards.
 *
 * @returns how many
 */
export async function resealSecrets(tx: Transaction, sealer: SecretSealer): Promise<number> {
  const [webhookSecrets, ingestSecrets] = await Promise.all([
    tx.query<WebhookSecretRow>(
      `select secret_id as "secretId", destination_id as "destinationId", application_id as "applicationId", sealed
       from webhook_secret order by secret_id for update`,
    ),
    tx.query<IngestSecretRow>(
      `select application_id as "applicationId", sealed, previous from ingest_secret order by application_id for update`,
    ),
  ]);
  let resealed = 0;
  for (const { secretId, destinationId, applicationId, sealed } of webhookSecrets) {
    if (sealer.isCurrent(sealed)) continue;
    const secret = openSecret(sealer, applicationId, destinationId, sealed);
    const anew = sealSecret(sealer, applicationId, destinationId, secret);
    tx.send('update webhook_secret set sealed = $2 where secret_id = $1', [secretId, anew]);
    resealed += 1;
  }
  for (const { applicationId, sealed, previous } of ingestSecrets) {
    if (sealer.isCurrent(sealed) && (previous === null || sealer.isCurrent(previous))) continue;
    const [anew, previousAnew] = [sealed, previous].map((bytes) =>
      bytes === null ? null : sealIngestSecret(sealer, applicationId, openIngestSecret(sealer, applicationId, bytes)),
    );
    tx.send('update ingest_secret set sealed = $2, previous = $3 where application_id = $1', [
      applicationId,
      anew,
      previousAnew,
    ]);
    resealed += 1;
  }
  return resealed;
}
