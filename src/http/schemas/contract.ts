import type { z } from 'zod';

/** What one route takes and answers: for documentation, and for tests that hold every answer against it. */
export interface RouteContract {
  readonly summary: string;
  readonly body?: z.ZodType;
  readonly query?: z.ZodType;
  /** By status; null is an answer without a body. */
  readonly replies: Readonly<Record<number, z.ZodType | null>>;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    contract?: RouteContract;
  }
}
