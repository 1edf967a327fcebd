import type { Environment, NewEvent } from '../sharing/ports.ts';
import type { DisablingReason } from './ports.ts';

/** Which destination an event is about; its URL may hold a secret of its owner's and is not told. */
export interface DestinationFacts {
  readonly destinationId: string;
  readonly applicationId: string;
  readonly environment: Environment;
  readonly label: string;
}

/** `webhook.ping`: shows one destination that its deliveries arrive. */
export function pingEvent(destination: DestinationFacts, pingId: string): NewEvent {
  return destinationEvent('webhook.ping', destination, pingId, { metadata: { test_webhook: true } });
}

/** `webhook.failing`: nothing has got through for half of the time after which a destination is switched off, or more. */
export function failingEvent(
  destination: DestinationFacts,
  details: { readonly failingSince: string; readonly percent: 50 | 75; readonly disabledAfter: string },
): NewEvent {
  const { failingSince, percent, disabledAfter } = details;
  return destinationEvent('webhook.failing', destination, `${failingSince}:${percent}`, {
    failing_since: failingSince,
    percent,
    disabled_after: disabledAfter,
  });
}

/** `webhook.disabled`: a destination was switched off without its owner's doing; deliveries are held for it. */
export function disabledEvent(
  destination: DestinationFacts,
  details: { readonly reason: DisablingReason; readonly disabledAt: string },
): NewEvent {
  const { reason, disabledAt } = details;
  const event = destinationEvent('webhook.disabled', destination, disabledAt, { reason, disabled_at: disabledAt });
  return { ...event, reason, before: { enabled: true }, after: { enabled: false } };
}

function destinationEvent(
  type: NewEvent['type'],
  { destinationId, applicationId, environment, label }: DestinationFacts,
  cause: string,
  members: NewEvent['body'],
): NewEvent {
  return {
    type,
    applicationId,
    tokenId: null,
    sessionId: null,
    subjectId: destinationId,
    dedupeKey: `${destinationId}:${type}:${cause}`,
    body: {
      webhook_type: type,
      application_id: applicationId,
      environment,
      destination_id: destinationId,
      label,
      ...members,
    },
  };
}
