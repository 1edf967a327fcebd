import type { z } from 'zod';
import type { FailureCode } from '../../domain/failures.ts';
import type { Tag } from '../openapi/tags.ts';

/** What one route takes and answers: for documentation, and for tests that hold every answer against it. */
export interface RouteContract {
  /** Unique name of the operation in lower camel case: `mintShareToken`. */
  readonly operationId: string;
  /** The group that it is documented in. */
  readonly tag: Tag;
  readonly summary: string;
  /** More than the summary says, in Markdown. */
  readonly description?: string;
  /** Parameters of the path; a UUID each when absent. */
  readonly params?: Readonly<Record<string, z.ZodType>>;
  /** Headers of a request, besides those of every route. */
  readonly headers?: Readonly<Record<string, z.ZodType>>;
  /** What the body is, when it is not JSON: a media type. */
  readonly bodyType?: string;
  /** Media types that such a body can have as well. */
  readonly otherBodyTypes?: readonly string[];
  /** What a success is, when it is not JSON: a media type. */
  readonly replyType?: string;
  /** Media types that a success can have as well. */
  readonly otherReplyTypes?: readonly string[];
  /**
   * Of a body that is taken, and of the answer by status. Real enough to be sent. `byType` has those of the other media
   * types, of which only one side of a route has any.
   */
  readonly examples?: {
    readonly body?: unknown;
    readonly replies?: Readonly<Record<number, unknown>>;
    readonly byType?: Readonly<Record<string, string>>;
  };
  /** The refusals that are this route's own, besides those of every route. */
  readonly refusals?: readonly FailureCode[];
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
