import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { UnreadableRequest } from './errors.ts';
import { invalidFields } from '../domain/failures.ts';
import { readJson, type JsonProblem } from '../domain/strict-json.ts';

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

const MAX_NAME_CHARACTERS = 100;
const EMPTY_SHA256 = createHash('sha256').digest();

/** Reads bodies as JSON in UTF-8, without a byte order mark, and as strictly as {@link readJson}; and as nothing else. */
export function acceptJsonBodies(app: FastifyInstance): void {
  app.decorateRequest('bodySha256', null);
  app.decorateRequest('rawBody', null);
  app.removeAllContentTypeParsers();
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
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
    if (text.startsWith('\ufeff')) {
      return done(new UnreadableRequest('The body begins with a byte order mark: leave it out.'));
    }
    const reading = readJson(text);
    if (reading.ok) done(null, reading.value);
    else done(refusalOf(reading.problem));
  });
}

/** SHA-256 of the request's body, also when it has none. */
export function bodySha256Of(request: FastifyRequest): Buffer {
  return request.bodySha256 ?? EMPTY_SHA256;
}

/** Names the field, as far as one can be named. */
function refusalOf({ place, sentence }: JsonProblem): Error {
  const field = place.join('.').slice(0, MAX_NAME_CHARACTERS);
  if (field !== '') return invalidFields({ [field]: [sentence] });
  return new UnreadableRequest(sentence.replace(/^It/, 'The body'));
}
