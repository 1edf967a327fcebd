import { diditSecret, standardSecret } from '../crypto/webhook-signature.ts';
import type { DestinationRow } from '../postgres/webhook-destinations.ts';
import type { PingOutcome } from '../postgres/webhook-pings.ts';

/** A secret in both forms. */
export function secretForms(secret: Buffer) {
  return { secret_shared_key: diditSecret(secret), secret_standard_webhooks: standardSecret(secret) };
}

/** A new secret in both forms; null in a replay, which says so: it is shown once. */
export function newSecretForms(secret: Buffer | null) {
  if (secret !== null) return secretForms(secret);
  return { secret_shared_key: null, secret_standard_webhooks: null, secret_replayed: true };
}

/** One row of the list of destinations. */
export function destinationItem(row: DestinationRow) {
  return {
    ...destinationHead(row),
    subscribed_events_count: row.subscribedEvents.length,
    deliveries_count: row.attempts,
    failed_deliveries_count: row.failed,
    average_response_time_ms: row.averageMs,
    error_rate_percentage: errorRate(row),
    last_delivery_at: row.lastAt,
  };
}

/** One destination, without its secret. */
export function destinationBody(row: DestinationRow, ping: PingOutcome | null) {
  return {
    ...destinationHead(row),
    ping: ping && {
      status: ping.status,
      response_status: ping.responseStatus,
      reason: ping.reason,
      attempted_at: ping.attemptedAt,
    },
    summary: {
      total_deliveries: row.attempts,
      failed_deliveries: row.failed,
      error_rate_percentage: errorRate(row),
      min_response_time_ms: row.minMs,
      avg_response_time_ms: row.averageMs,
      max_response_time_ms: row.maxMs,
      last_delivery_at: row.lastAt,
    },
  };
}

function destinationHead(row: DestinationRow) {
  return {
    uuid: row.destinationId,
    label: row.label,
    url: row.url,
    enabled: row.enabled,
    webhook_version: 'v3',
    payload_mode: row.payloadMode,
    didit_headers_signed_with: row.diditHeadersSignedWith,
    subscribed_events: row.subscribedEvents,
    status: statusOf(row),
    disabled_reason: row.disabledReason,
    disabled_at: row.disabledAt,
    failing_since: row.failingSince,
    paused_until: row.pausedUntil,
    held_deliveries_count: row.held,
    previous_secret_expires_at: row.previousSecretExpiresAt,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
  };
}

function statusOf({ enabled, disabledReason, failingSince }: DestinationRow) {
  if (!enabled) return disabledReason === 'blocked' ? 'blocked' : 'disabled';
  return failingSince === null ? 'active' : 'failing';
}

function errorRate({ attempts, failed }: DestinationRow): number {
  return attempts === 0 ? 0 : Math.round((failed / attempts) * 100);
}
