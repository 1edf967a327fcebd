import { isCalendarDate } from '../../domain/decision-dates.ts';
import { nestsDeeper, type JsonObject } from '../../domain/json.ts';
import { z } from 'zod';

/** A message for what is missing, null, or of the wrong sort: Didit's sentences (contract/didit-api.md 1.1). */
function orRequired(wrong: string): { error: (issue: { readonly input?: unknown }) => string } {
  return {
    error: ({ input }) => {
      if (input === undefined) return 'This field is required.';
      return input === null ? 'This field may not be null.' : wrong;
    },
  };
}

/** Text of bounded length, not empty. */
export function text(most: number) {
  return z
    .string(orRequired('Not a valid string.'))
    .min(1, 'This field may not be blank.')
    .max(most, `Ensure this field has no more than ${most} characters.`);
}

/** Text that nothing is asked of. */
export const anyText = z.string(orRequired('Not a valid string.'));

/** A UUID in either case, given on in lower case. */
export const uuid = z
  .string(orRequired('Must be a valid UUID.'))
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i, 'Must be a valid UUID.')
  .transform((id) => id.toLowerCase())
  .meta({ format: 'uuid' });

export const bool = z.boolean(orRequired('Must be a valid boolean: true or false.'));

/** One of some words. */
export function oneOf<const Words extends readonly string[]>(words: Words) {
  return z.enum(words, orRequired(`Must be one of: ${words.join(', ')}.`));
}

/** An object of ours: unknown fields are refused (contract row 25). */
export function ours<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, 'Must be an object.');
}

const MAX_LEVELS = 20;

/** An object with any members. */
export function jsonObject(wrong: string) {
  return z
    .record(z.string(), z.unknown(), wrong)
    .refine(
      (value) => !nestsDeeper(value as JsonObject, MAX_LEVELS),
      `Must not nest deeper than ${MAX_LEVELS} levels.`,
    );
}

const NO_DAY = 'Must be a day, written YYYY-MM-DD.';

/** A day, `YYYY-MM-DD`. */
export const day = z.iso.date({ ...orRequired(NO_DAY), abort: true }).refine(isCalendarDate, NO_DAY);

const NO_INSTANT = 'Must be a time with its zone, such as 2026-11-23T09:15:00Z.';

/** A moment of the years 1970 to 9999, ISO 8601 with its zone; given on in UTC, with up to six decimals of a second. */
export const instant = z.iso
  .datetime({ ...orRequired(NO_INSTANT), offset: true, abort: true })
  .refine((text) => Date.parse(text) >= 0 && Date.parse(text) < Date.UTC(10_000, 0), NO_INSTANT)
  .transform((text) => {
    const [, decimals = '0'] = /\.(\d{1,6})/.exec(text) ?? [];
    return new Date(text).toISOString().replace(/\.\d+Z$/, `.${decimals}Z`);
  });

const TTL = 'A valid integer is required.';

/** Contract row 13: 60 to 86400, default 3600; digits in a string are accepted. */
export const ttlInSeconds = z
  .preprocess(
    (value) => (typeof value === 'string' && /^-?\d{1,9}$/.test(value) ? Number(value) : value),
    z
      .int(orRequired(TTL))
      .min(60, 'Ensure this value is greater than or equal to 60.')
      .max(86_400, 'Ensure this value is less than or equal to 86400.'),
  )
  .optional()
  .transform((ttl) => ttl ?? 3600)
  .meta({ default: 3600, description: 'Seconds, 60 to 86400; digits in a string are accepted.' });

/** The importer's own id of the person or company; null is "none". */
export const vendorData = text(512).nullable();

/** ISO 8601 in UTC. */
export const time = z.string().meta({ format: 'date-time' });
