import { z } from 'zod';
import { FAILURES, type FailureCode } from '../../domain/failures.ts';

const code = z.enum(Object.keys(FAILURES) as [FailureCode, ...FailureCode[]]);

/** The body of every answer that is not a success: `detail` and `code`, or the sentences of each field and `code`. */
export const errorBody = z.union([
  z.looseObject({ detail: z.union([z.string(), z.array(z.string())]), code }),
  z.object({ code: z.literal('invalid_request') }).catchall(z.array(z.string())),
]);

/** Answers that every route with a key can give. */
export const anyRouteErrors = { 401: errorBody, 403: errorBody, 429: errorBody, 500: errorBody, 503: errorBody };

/** Answers that every route without a key can give. */
export const publicErrors = { 429: errorBody, 500: errorBody, 503: errorBody };

/** Answers of a route with an id in its path. */
export const idErrors = { ...anyRouteErrors, 404: errorBody };

/** Answers of a route with a body. */
export const bodyErrors = { ...idErrors, 400: errorBody, 408: errorBody, 413: errorBody, 415: errorBody };

/** Answers of a POST, which takes an `Idempotency-Key`. */
export const postErrors = { ...bodyErrors, 409: errorBody, 422: errorBody };
