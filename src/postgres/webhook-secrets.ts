import type { PayloadSealer } from '../sharing/ports.ts';

/** What a webhook secret is stored as: its bytes in base64, sealed under its destination. */
export function sealSecret(
  sealer: PayloadSealer,
  applicationId: string,
  destinationId: string,
  secret: Buffer,
): Buffer {
  return sealer.sealPayload(contextOf(applicationId, destinationId), secret.toString('base64'));
}

/** The bytes of a stored webhook secret. */
export function openSecret(
  sealer: PayloadSealer,
  applicationId: string,
  destinationId: string,
  sealed: Buffer,
): Buffer {
  const text = sealer.openPayload(contextOf(applicationId, destinationId), sealed);
  if (typeof text !== 'string') throw new Error('a webhook secret is stored as text');
  return Buffer.from(text, 'base64');
}

function contextOf(applicationId: string, destinationId: string) {
  return { applicationId, sessionId: destinationId, category: 'webhook_secret', position: 0 };
}
