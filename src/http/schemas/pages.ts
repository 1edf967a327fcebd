import { z } from 'zod';

/** The envelope of a list (contract row 23). */
export function pageReply<Item extends z.ZodType>(item: Item) {
  return z.strictObject({
    count: z.int().nonnegative(),
    next: z.url().nullable(),
    previous: z.url().nullable(),
    results: z.array(item),
  });
}
