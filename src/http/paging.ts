import type { FastifyRequest } from 'fastify';
import { z } from 'zod';

const MAX_OFFSET = 1_000_000_000;

const whole = (least: number, most: number, description: string) =>
  z
    .string('Give it once.')
    .regex(/^-?\d{1,15}$/, 'A valid integer is required.')
    .transform(Number)
    .pipe(
      z
        .number()
        .min(least, `Ensure this value is greater than or equal to ${least}.`)
        .max(most, `Ensure this value is less than or equal to ${most}.`),
    )
    .meta({ type: 'integer', minimum: least, maximum: most, description });

/** Query parameters of every list: contract row 23. */
export const pageQuery = {
  limit: whole(1, 100, 'How many items the page has at most.').default(50),
  offset: whole(0, MAX_OFFSET, 'How many items come before the page.').default(0),
};

/** Which part of a list is asked for. */
export interface Page {
  readonly limit: number;
  readonly offset: number;
}

/** The envelope of every list (contract row 23): exact count, absolute URLs of the neighbours. */
export function pageOf<Item>(
  request: FastifyRequest,
  page: Page,
  list: { readonly count: number; readonly items: readonly Item[] },
): { count: number; next: string | null; previous: string | null; results: readonly Item[] } {
  const { limit, offset } = page;
  return {
    count: list.count,
    next: offset + limit < list.count ? urlOf(request, limit, offset + limit) : null,
    previous: offset > 0 ? urlOf(request, limit, Math.max(0, offset - limit)) : null,
    results: list.items,
  };
}

function urlOf(request: FastifyRequest, limit: number, offset: number): string {
  // A proxy says what its client told it, when it is set up badly.
  const protocol = request.protocol === 'https' ? 'https' : 'http';
  const origin = `${protocol}://${request.host}`;
  const url = new URL(URL.canParse(origin) ? origin : 'http://localhost');
  [url.pathname = '', url.search = ''] = request.url.split('?', 2);
  url.searchParams.set('limit', String(limit));
  url.searchParams.set('offset', String(offset));
  return url.href;
}
