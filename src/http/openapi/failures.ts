import { FAILURES, type FailureCode } from '../../domain/failures.ts';
import { errorBody } from '../schemas/errors.ts';
import { pathParameters, type DocumentedRoute } from './routes.ts';

/** What a route can refuse with besides its own refusals, by the statuses that its contract names. */
const COMMON: Readonly<Record<number, FailureCode>> = {
  400: 'invalid_request',
  401: 'authentication_failed',
  403: 'permission_denied',
  408: 'request_timeout',
  413: 'payload_too_large',
  415: 'unsupported_media_type',
  429: 'rate_limited',
  500: 'internal_error',
  503: 'service_unavailable',
};

/** Of every POST that takes an `Idempotency-Key`. */
const OF_REPLAYS: readonly FailureCode[] = ['resource_deleted', 'idempotency_in_progress', 'idempotency_key_reused'];

/** Whether a route has its effect once per `Idempotency-Key`. */
export function takesIdempotencyKey({ contract }: Pick<DocumentedRoute, 'contract'>): boolean {
  return contract.replies[422] !== undefined;
}

/**
 * The codes with which a route can answer, by status. A status of its contract that is left without a code has an empty
 * list, and a refusal whose status the contract does not name is there all the same: tests find both.
 */
export function failuresOf(route: DocumentedRoute): Map<number, FailureCode[]> {
  const { contract, needs } = route;
  const codes = new Map<number, FailureCode[]>();
  for (const [status, schema] of Object.entries(contract.replies)) {
    // A status that answers with something of the route's own is no refusal.
    if (schema === errorBody) codes.set(Number(status), []);
  }
  const add = (code: FailureCode) => {
    const { status } = FAILURES[code];
    const known = codes.get(status) ?? [];
    if (!known.includes(code)) codes.set(status, [...known, code]);
  };
  for (const status of codes.keys()) {
    const code = COMMON[status];
    if (code === undefined || (needs === 'public' && (status === 401 || status === 403))) continue;
    add(code);
  }
  if (typeof needs === 'object' && [needs.access, needs.also?.access].includes('write')) add('application_deleted');
  for (const code of contract.refusals ?? []) add(code);
  if (takesIdempotencyKey(route)) OF_REPLAYS.forEach(add);
  // Nothing is missing where nothing is named.
  if (codes.get(404)?.length === 0 && pathParameters(route.url).length === 0) codes.delete(404);
  return new Map([...codes].sort(([a], [b]) => a - b));
}
