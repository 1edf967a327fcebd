import { z } from 'zod';
import type { RouteContract } from './contract.ts';
import { time } from './fields.ts';

const check = z.string();

export const healthReply = z.strictObject({ status: z.literal('ok') });

/** Didit's shape of it. */
export const healthcheckReply = z.strictObject({ status: z.literal('ok'), timestamp: time });

/** `ok`, or what is wrong, for each thing that the server stands on. */
export const readinessReply = z.strictObject({
  status: z.enum(['ok', 'degraded', 'unavailable']),
  checks: z.strictObject({ database: check, migrations: check, temporal: check, search_attributes: check }),
});

export const healthContracts = {
  alive: {
    operationId: 'isAlive',
    tag: 'Service',
    summary: 'Whether this process lives',
    description: 'It looks at nothing outside the process: ask `/readyz` for that.',
    replies: { 200: healthReply },
    examples: { replies: { 200: { status: 'ok' } } },
  },
  check: {
    operationId: 'healthcheck',
    tag: 'Service',
    summary: 'Whether this process lives, and its time',
    description: 'The same as `/healthz`, as Didit’s clients ask it.',
    replies: { 200: healthcheckReply },
    examples: { replies: { 200: { status: 'ok', timestamp: '2026-11-23T09:15:00.123Z' } } },
  },
  ready: {
    operationId: 'isReady',
    tag: 'Service',
    summary: 'Whether this process can do its work',
    description:
      'With Temporal away it is `degraded` and still answers 200: everything is accepted and finishes later.',
    replies: { 200: readinessReply, 503: readinessReply },
    examples: {
      replies: {
        200: { status: 'ok', checks: { database: 'ok', migrations: 'ok', temporal: 'ok', search_attributes: 'ok' } },
        503: {
          status: 'unavailable',
          checks: { database: 'unreachable', migrations: 'unknown', temporal: 'ok', search_attributes: 'ok' },
        },
      },
    },
  },
} satisfies Record<string, RouteContract>;
