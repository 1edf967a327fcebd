import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { UnreadableRequest } from './errors.ts';
import { invalidFields } from '../domain/failures.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** SHA-256 of the body's bytes, when an `Idempotency-Key` asks for it. */
    bodySha256: Buffer | null;
    /** The body's bytes, on a route that asks for them. */
    rawBody: Buffer | null;
  }
  interface FastifyContextConfig {
    /** Keeps the body's bytes beside what they say, for a route that checks a signature over them. */
    keepRawBody?: true;
  }
}

const EMPTY_SHA256 = createHash('sha256').digest();

/**
 * Reads bodies as JSON (RFC 8259) and nothing else. Refuses bytes that are no UTF-8, the key `__proto__`, and texts that
 * Postgres or another reader could not hold: NUL and lone surrogates.
 */
export function acceptJsonBodies(app: FastifyInstance): void {
  app.decorateRequest('bodySha256', null);
  app.decorateRequest('rawBody', null);
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser('error', 'error');
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (request.headers['idempotency-key'] !== undefined) {
      request.bodySha256 = createHash('sha256').update(body).digest();
    }
    if (request.routeOptions.config.keepRawBody === true) request.rawBody = body;
    if (body.length === 0) return done(null, undefined);
    let text: string;
    try {
      text = utf8.decode(body);
    } catch {
      return done(new UnreadableRequest('The body is not UTF-8: encode it so.'));
    }
    void parse(request, text, (error, value: unknown) => {
      if (error !== null)
        return done(new UnreadableRequest('The body is not JSON, or has a key __proto__: send one JSON object.'));
      // Neither can stand in a text without an escape.
      const field = text.includes('\\u') ? fieldWithBadText(value) : null;
      if (field !== null) {
        return done(invalidFields({ [field]: ['Holds NUL or half a surrogate pair: remove it.'] }));
      }
      const endless = MAYBE_ENDLESS.test(text) ? fieldWithEndlessNumber(value) : null;
      if (endless !== null)
        return done(invalidFields({ [endless]: ['Holds a number beyond all bounds: send it as text.'] }));
      done(null, value);
    });
  });
}

/** SHA-256 of the request's body, also when it has none. */
export function bodySha256Of(request: FastifyRequest): Buffer {
  return request.bodySha256 ?? EMPTY_SHA256;
}

/** The top-level field that holds a NUL or a lone surrogate anywhere, in a key or a value. */
function fieldWithBadText(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null;
  for (const [field, member] of Object.entries(body)) {
    if (isBadText(field)) return 'detail';
    // A list, not recursion: bodies nest as deep as their size allows.
    const left: unknown[] = [member];
    while (left.length > 0) {
      const value = left.pop();
      if (typeof value === 'string' && isBadText(value)) return field;
      if (typeof value !== 'object' || value === null) continue;
      for (const [key, inner] of Object.entries(value)) {
        if (isBadText(key)) return field;
        left.push(inner);
      }
    }
  }
  return null;
}

/** A number has to be written so to become infinite: with an exponent of three digits, or hundreds of digits. */
const MAYBE_ENDLESS = /[eE]\+?\d{3}|\d{300}/;

/** The top-level field that holds a number which JavaScript reads as infinite. */
function fieldWithEndlessNumber(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null;
  for (const [field, member] of Object.entries(body)) {
    const left: unknown[] = [member];
    while (left.length > 0) {
      const value = left.pop();
      if (typeof value === 'number' && !Number.isFinite(value)) return field;
      if (typeof value === 'object' && value !== null) left.push(...Object.values(value));
    }
  }
  return null;
}

function isBadText(text: string): boolean {
  return text.includes('\0') || /\p{Surrogate}/u.test(text);
}
