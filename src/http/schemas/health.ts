import { z } from 'zod';

const check = z.string();

export const healthReply = z.strictObject({ status: z.literal('ok') });

/** `ok`, or what is wrong, for each thing that the server stands on. */
export const readinessReply = z.strictObject({
  status: z.enum(['ok', 'degraded', 'unavailable']),
  checks: z.strictObject({ database: check, migrations: check, temporal: check, search_attributes: check }),
});
