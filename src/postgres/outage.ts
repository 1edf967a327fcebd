const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
]);
/** SQLSTATE classes and codes that say "not now": connection, resources, shutdown, cancelled or lock not available. */
const SQLSTATE = /^(08...|53...|57P0.|57014|55P03|25P03|40P01|40001)$/;
const POOL_MESSAGES =
  /timeout exceeded when trying to connect|Connection terminated|Client has encountered a connection error/;

/** As many transactions wait for a connection as may: one more would wait too long to be of use. */
export class DatabaseBusy extends Error {
  override readonly name = 'DatabaseBusy';
}

/** Whether an error says that Postgres cannot answer now, so that the same call may succeed later (HTTP 503). */
export function isDatabaseOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof DatabaseBusy) return true;
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') return NETWORK_CODES.has(code) || SQLSTATE.test(code);
  if (error instanceof AggregateError) return error.errors.some(isDatabaseOutage);
  return POOL_MESSAGES.test(error.message);
}
