import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { UnreadableRequest } from './errors.ts';
import { invalidFields } from '../domain/failures.ts';
import type { JsonObject } from '../domain/json.ts';
import { unstorable } from '../domain/storable-json.ts';

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
      // Neither can stand in a text without an escape or a very long number: most bodies need no second look.
      const unfit = text.includes('\\u') || MAYBE_ENDLESS.test(text) ? unstorableField(value) : null;
      if (unfit !== null) return done(invalidFields({ [unfit.field]: [unfit.sentence] }));
      done(null, value);
    });
  });
}

/** SHA-256 of the request's body, also when it has none. */
export function bodySha256Of(request: FastifyRequest): Buffer {
  return request.bodySha256 ?? EMPTY_SHA256;
}

/** A number has to be written so to become infinite: with an exponent of three digits, or hundreds of digits. */
const MAYBE_ENDLESS = /[eE]\+?\d{3}|\d{300}/;

/** The top-level field that Postgres or another reader could not hold, and why. */
function unstorableField(body: unknown): { field: string; sentence: string } | null {
  if (typeof body !== 'object' || body === null) return null;
  for (const [field, member] of Object.entries(body as JsonObject)) {
    const inKey = unstorable(field);
    if (inKey !== null) return { field: 'detail', sentence: inKey };
    const sentence = unstorable(member);
    if (sentence !== null) return { field, sentence };
  }
  return null;
}
