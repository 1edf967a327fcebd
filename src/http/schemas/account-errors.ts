import { errorBody } from './errors.ts';

/** Answers that a public POST with an effect can give, besides its own refusals. */
export const publicPostErrors = {
  400: errorBody,
  404: errorBody,
  408: errorBody,
  409: errorBody,
  413: errorBody,
  415: errorBody,
  422: errorBody,
  429: errorBody,
  500: errorBody,
  503: errorBody,
};

/** Answers that every route with an access token can give. */
export const accountErrors = { 401: errorBody, 429: errorBody, 500: errorBody, 503: errorBody };

/** Answers of such a route with an id in its path. */
export const accountIdErrors = { ...accountErrors, 404: errorBody };

/** Answers of such a list within an id. */
export const accountListErrors = { ...accountIdErrors, 400: errorBody };

/** Answers of such a route with a body. */
export const accountBodyErrors = { ...accountListErrors, 408: errorBody, 413: errorBody, 415: errorBody };

/** Answers of such a POST, which takes an `Idempotency-Key`. */
export const accountPostErrors = { ...accountBodyErrors, 409: errorBody, 422: errorBody };
