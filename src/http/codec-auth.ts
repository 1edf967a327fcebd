import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { Refusal } from '../domain/failures.ts';

/** Who may have payloads decoded. */
export interface Operators {
  /** Names, with the SHA-256 of the token of each. */
  readonly tokens: ReadonlyMap<string, Buffer>;
  /** The subject of a token of the company's single sign-on, or null. */
  readonly readSsoToken: ((token: string) => Promise<string | null>) | null;
}

/** The name of the operator whose token this is, or null. Takes as long for every token. */
export function operatorOf(tokens: Operators['tokens'], token: string): string | null {
  const digest = createHash('sha256').update(token).digest();
  let found: string | null = null;
  for (const [name, known] of tokens) if (timingSafeEqual(digest, known)) found = name;
  return found;
}

/** Who a bearer token belongs to: an operator, by name, or somebody who is signed on, as `sso:<subject>`, which no name is. */
export async function bearerOf({ tokens, readSsoToken }: Operators, header: string): Promise<string | null> {
  const [, token] = /^Bearer ([\x21-\x7e]+)$/i.exec(header) ?? [];
  if (token === undefined) return null;
  const subject = operatorOf(tokens, token);
  if (subject !== null || readSsoToken === null) return subject;
  const signedOn = await readSsoToken(token);
  return signedOn === null ? null : `sso:${signedOn}`;
}

/** Those who signed in by the page, for a Web UI that has no token of theirs to pass on. */
export interface SignedIn {
  /** The operator whose cookie this is, or null. */
  of(cookies: string | undefined): string | null;
}

const COOKIE = 'handoff_codec';
const SIGNED_IN_SECONDS = 8 * 3_600;
const MAX_SIGNED_IN = 1_000;

/**
 * `GET` and `POST /sign-in`: a form for an operator's token, and a cookie for it that no script can read and that is sent
 * to this server's decoding alone, from pages of its own site. Kept in this process: a restart signs everybody out.
 *
 * @param secure whether browsers reach us by https
 */
export function signInPage(app: FastifyInstance, tokens: Operators['tokens'], secure: boolean): SignedIn {
  const signedIn = new Map<string, { readonly operator: string; readonly until: number }>();
  const page = (text: string) =>
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>Codec server</title><p>${text}</p>` +
    `<form method="post"><label>Your token <input name="token" type="password" required autofocus></label> ` +
    `<button>Sign in</button></form></html>`;
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, new URLSearchParams(String(body))),
  );
  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.url === '/sign-in') {
      const policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'";
      void reply.type('text/html; charset=utf-8').header('content-security-policy', policy);
    }
    done();
  });
  app.get('/sign-in', () => page('Sign in, and Temporal’s Web UI shows what is encrypted.'));
  app.post('/sign-in', { bodyLimit: 4_096 }, (request, reply) => {
    const { origin, host } = request.headers;
    if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)) {
      throw new Refusal('permission_denied', { detail: 'Sign in by the form of this page.' });
    }
    const token = request.body instanceof URLSearchParams ? request.body.get('token') : null;
    const operator = operatorOf(tokens, token ?? '');
    if (operator === null) return reply.code(401).send(page('This is no operator’s token.'));
    const [oldest] = signedIn.keys();
    if (signedIn.size >= MAX_SIGNED_IN && oldest !== undefined) signedIn.delete(oldest);
    const id = randomBytes(32).toString('base64url');
    signedIn.set(hashed(id), { operator, until: Date.now() + SIGNED_IN_SECONDS * 1_000 });
    const attributes = `HttpOnly; SameSite=Strict; Path=/decode; Max-Age=${SIGNED_IN_SECONDS}${secure ? '; Secure' : ''}`;
    void reply.header('set-cookie', `${COOKIE}=${id}; ${attributes}`);
    return reply.send(page('You are signed in. Go on in Temporal’s Web UI.'));
  });
  return {
    of: (cookies) => {
      const [, id] = new RegExp(`(?:^|; )${COOKIE}=([\\w-]{43})(?:;|$)`).exec(cookies ?? '') ?? [];
      const found = id === undefined ? undefined : signedIn.get(hashed(id));
      return found !== undefined && found.until > Date.now() ? found.operator : null;
    },
  };
}

function hashed(id: string): string {
  return createHash('sha256').update(id).digest('base64');
}
