import { z } from 'zod';
import type { RouteContract } from './contract.ts';

const check = z.string();

export const healthReply = z.strictObject({ status: z.literal('ok') });

/** `ok`, or what is wrong, for each thing that the server stands on. */
export const readinessReply = z.strictObject({
  status: z.enum(['ok', 'degraded', 'unavailable']),
  checks: z.strictObject({ database: check, migrations: check, temporal: check, search_attributes: check }),
});

export const healthContracts = {
  alive: { summary: 'Whether this process lives', replies: { 200: healthReply } },
  ready: {
    summary: 'Whether this process can do its work',
    replies: { 200: readinessReply, 503: readinessReply },
  },
} satisfies Record<string, RouteContract>;
