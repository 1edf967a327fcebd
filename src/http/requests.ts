import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { Refusal, invalidFields, type FailureCode, type FieldErrors } from '../domain/failures.ts';
import { UnreadableRequest } from './errors.ts';
import { isUuid } from '../domain/ids.ts';

const MAX_FIELDS_NAMED = 20;
const MAX_NAME_CHARACTERS = 100;
/** Didit's sentence. */
const NUL = 'Null characters are not allowed.';

/**
 * An id in the path. Whatever is no lower-case canonical UUID is not there (contract row 22).
 *
 * @throws {Refusal} with `missing`
 */
export function pathId(request: FastifyRequest, name: string, missing: FailureCode): string {
  const id = (request.params as Readonly<Record<string, string>>)[name];
  if (id === undefined || !isUuid(id)) throw new Refusal(missing);
  return id;
}

/** Either what was parsed, or what is wrong with it, to be thrown when its turn has come. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Error };

/** Checks the body without throwing, for routes where another check comes first. */
export function checkBody<T>(schema: z.ZodType<T>, request: FastifyRequest): Parsed<T> {
  const body = request.body ?? {};
  if (typeof body !== 'object' || Array.isArray(body)) {
    return { ok: false, refusal: new UnreadableRequest('The body is not a JSON object: send one.') };
  }
  return check(schema, body);
}

/** @throws {Refusal} `invalid_request` with every field that is wrong */
export function parseBody<T>(schema: z.ZodType<T>, request: FastifyRequest): T {
  return orThrow(checkBody(schema, request));
}

/** @throws {Refusal} `invalid_request` with every parameter that is wrong; NUL is, which no text in Postgres can hold */
export function parseQuery<T>(schema: z.ZodType<T>, request: FastifyRequest): T {
  const unfit = Object.entries(request.query as Record<string, unknown>).filter(([, value]) =>
    [value].flat().some((text) => typeof text === 'string' && text.includes('\0')),
  );
  if (unfit.length > 0) {
    const named = unfit.slice(0, MAX_FIELDS_NAMED).map(([name]) => [name.slice(0, MAX_NAME_CHARACTERS), [NUL]]);
    throw invalidFields(Object.fromEntries(named) as FieldErrors);
  }
  return orThrow(check(schema, request.query));
}

/** The value, or the refusal thrown. */
export function orThrow<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw parsed.refusal;
  return parsed.value;
}

/** Checks what came otherwise than as a JSON body or a query. */
export function check<T>(schema: z.ZodType<T>, value: unknown): Parsed<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, value: parsed.data };
  return { ok: false, refusal: invalidFields(fieldErrors(parsed.error.issues)) };
}

function fieldErrors(issues: readonly z.core.$ZodIssue[]): FieldErrors {
  const fields = new Map<string, string[]>();
  for (const issue of issues) {
    const path = issue.path.map(String);
    const names = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path];
    for (const parts of names) {
      const name = parts.join('.').slice(0, MAX_NAME_CHARACTERS) || 'detail';
      const sentences = fields.get(name) ?? [];
      if (sentences.length === 0 && fields.size >= MAX_FIELDS_NAMED) continue;
      fields.set(name, [
        ...sentences,
        issue.code === 'unrecognized_keys' ? 'Unknown field: remove it.' : issue.message,
      ]);
    }
  }
  return Object.fromEntries(fields);
}
