import type { PayloadSealer } from '../sharing/ports.ts';
import { newId } from './new-id.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** What a webhook secret is stored as: its bytes in base64, sealed under its destination. */
export function sealSecret(
  sealer: PayloadSealer,
  applicationId: string,
  destinationId: string,
  secret: Buffer,
): Buffer {
  return sealer.sealPayload(webhookSecretContext(applicationId, destinationId), secret.toString('base64'));
}

/** The bytes of a stored webhook secret. */
export function openSecret(
  sealer: PayloadSealer,
  applicationId: string,
  destinationId: string,
  sealed: Buffer,
): Buffer {
  const text = sealer.openPayload(webhookSecretContext(applicationId, destinationId), sealed);
  if (typeof text !== 'string') throw new Error('a webhook secret is stored as text');
  return Buffer.from(text, 'base64');
}

/** A secret that signs deliveries now. */
export interface LiveSecret {
  readonly secret: Buffer;
  /** ISO 8601; null for the current one. */
  readonly expiresAt: string | null;
}

/** The live secrets of a destination, the current one first: one, or two during a rotation's grace. */
export async function readLiveSecrets(
  tx: Transaction,
  sealer: PayloadSealer,
  applicationId: string,
  destinationId: string,
): Promise<LiveSecret[]> {
  const rows = await tx.query<{ sealed: Buffer; expiresAt: string | null }>(
    `select sealed, ${isoColumn('expires_at')} as "expiresAt" from webhook_secret
     where application_id = $1 and destination_id = $2 and (expires_at is null or expires_at > handoff_now())
     order by expires_at desc nulls first`,
    [applicationId, destinationId],
  );
  return rows.map(({ sealed, expiresAt }) => ({
    secret: openSecret(sealer, applicationId, destinationId, sealed),
    expiresAt,
  }));
}

/**
 * Puts a new secret in the place of the current one, which goes on signing beside it for a grace. The destination has to
 * be locked, so that never more than two are live.
 *
 * @param rotation.graceSeconds 0 ends every earlier secret at once
 * @returns false when an earlier rotation's grace still runs, unless it is ended; nothing was changed then
 */
export async function rotateSecret(
  tx: Transaction,
  sealer: PayloadSealer,
  rotation: {
    readonly applicationId: string;
    readonly destinationId: string;
    readonly secret: Buffer;
    readonly graceSeconds: number;
  },
): Promise<boolean> {
  const { applicationId, destinationId, graceSeconds } = rotation;
  const which = [applicationId, destinationId];
  const where = 'application_id = $1 and destination_id = $2';
  const previous = await tx.query(
    `select 1 from webhook_secret where ${where} and expires_at > handoff_now() limit 1`,
    which,
  );
  if (graceSeconds > 0 && previous.length > 0) return false;
  tx.send(`delete from webhook_secret where ${where} and ($3 = 0 or expires_at is not null)`, [...which, graceSeconds]);
  tx.send(
    `update webhook_secret set expires_at = handoff_now() + make_interval(secs => $3) where ${where} and expires_at is null`,
    [...which, graceSeconds],
  );
  tx.send('insert into webhook_secret (secret_id, destination_id, application_id, sealed) values ($3, $2, $1, $4)', [
    ...which,
    newId(),
    sealSecret(sealer, applicationId, destinationId, rotation.secret),
  ]);
  // A receiver of Didit's headers has the previous secret until it says otherwise.
  tx.send(
    `update webhook_destination set didit_headers_signed_with = 'previous', updated_at = handoff_now() where ${where}`,
    which,
  );
  return true;
}

/** What a webhook secret is bound to. */
export function webhookSecretContext(applicationId: string, destinationId: string) {
  return { applicationId, sessionId: destinationId, category: 'webhook_secret', position: 0 };
}
