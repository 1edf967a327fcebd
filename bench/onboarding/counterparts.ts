import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listen } from '../../test/support/loopback.ts';
import type { BenchBrand } from '../brands.ts';
import type { HttpCalls } from '../http-calls.ts';
import type { ShareOrder } from './brands.ts';

/**
 * The brands' own backends: they verify every webhook, with one HMAC, and a partner that got a token gives its word over
 * HTTP. What they cost is none of the service's.
 */
export interface Counterparts {
  urlOf(brand: BenchBrand): string;
  /** Names the secret that a brand's webhooks are signed with. */
  know(brand: BenchBrand, secret: string): void;
  /**
   * Opens an onboarding over HTTP, and resolves with its token id once issuer and partner were both told of the import.
   *
   * @param onOpened called with the token id when the call is answered
   * @throws Error when the server refuses, when it ends otherwise, or when it does not end within two minutes
   */
  onboard(order: ShareOrder, onOpened?: (tokenId: string) => void): Promise<string>;
  /** Leaves webhooks that come from now on unanswered and unheeded, until they are released. */
  hold(): Hold;
  stop(): Promise<void>;
}

/** Webhooks that wait for their answer. */
export interface Hold {
  count(): number;
  /**
   * Answers them and heeds what they say, but for those whose sender has gone meanwhile: nobody has heard these.
   *
   * @returns how many those are
   */
  release(): number;
}

/** What is heard of one onboarding. */
interface Story {
  /** Applications that heard `share.imported`. */
  readonly told: Set<string>;
  readonly bothTold: Promise<void>;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
}

/** A webhook without its answer. */
interface Held {
  readonly response: ServerResponse;
  readonly answer: () => void;
}

const PATIENCE_MS = 120_000;

/** Starts their receiver on a free port. */
export async function startCounterparts(http: HttpCalls): Promise<Counterparts> {
  const brands = new Map<string, { readonly brand: BenchBrand; readonly secret: string }>();
  const stories = new Map<string, Story>();
  let held: Held[] | null = null;
  // A webhook may come before the answer of the call that opened its onboarding.
  const storyOf = (tokenId: string): Story => {
    const known = stories.get(tokenId);
    if (known !== undefined) return known;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {});
    const story = { told: new Set<string>(), bothTold: promise, end: resolve, fail: reject };
    stories.set(tokenId, story);
    return story;
  };
  // Connections stay, as those of a backend in use do.
  const listener = createServer({ keepAliveTimeout: PATIENCE_MS }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const answerIt = () => answer(request, Buffer.concat(chunks), response);
      if (held === null) answerIt();
      else held.push({ response, answer: answerIt });
    });
  });
  const server = await listen(listener);

  function answer({ url = '', headers }: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const known = brands.get(url.slice(1));
    // The test of a new destination, which comes before anybody knows its secret.
    if (known === undefined) return void response.writeHead(204).end();
    const genuine = isSigned(body, known.secret, headers['x-signature']);
    response.writeHead(genuine ? 204 : 400).end();
    if (genuine) heed(known.brand, JSON.parse(body.toString('utf8')) as Readonly<Record<string, unknown>>);
  }

  function heed(brand: BenchBrand, event: Readonly<Record<string, unknown>>): void {
    const { webhook_type: type, token_id: tokenId, acceptance } = event;
    if (typeof tokenId !== 'string') return;
    const story = storyOf(tokenId);
    if (type === 'share.received' && acceptance === 'acknowledge') {
      const path = `/v1/onboardings/${tokenId}/acknowledge/`;
      http.call(brand, 'POST', path, { accept: true }).catch((error: unknown) => story.fail(error as Error));
    }
    if (type === 'share.rejected' || type === 'share.expired') story.fail(new Error(`${tokenId} ended with ${type}`));
    if (type !== 'share.imported') return;
    story.told.add(brand.id);
    if (story.told.size === 2) story.end();
  }

  return {
    urlOf: ({ id }) => `http://127.0.0.1:${server.port}/${id}`,
    know: (brand, secret) => void brands.set(brand.id, { brand, secret }),
    onboard: async ({ issuer, partner, sessionId }, onOpened) => {
      const order = { session_id: sessionId, for_application_id: partner.id };
      const opened = await http.call(issuer, 'POST', '/v1/onboardings/', order);
      const tokenId = String(opened['token_id']);
      onOpened?.(tokenId);
      const story = storyOf(tokenId);
      const late = setTimeout(() => story.fail(new Error(`${tokenId} has not ended`)), PATIENCE_MS);
      try {
        await story.bothTold;
      } finally {
        clearTimeout(late);
      }
      return tokenId;
    },
    hold: () => {
      const waiting: Held[] = [];
      held = waiting;
      return {
        count: () => waiting.length,
        release: () => {
          held = null;
          const heard = waiting.filter(({ response }) => !response.destroyed);
          for (const one of heard) one.answer();
          return waiting.length - heard.length;
        },
      };
    },
    stop: () => server.close(),
  };
}

/** Whether the body is signed with this secret, by Didit's signature over its bytes. */
function isSigned(body: Buffer, secret: string, signature: string | string[] | undefined): boolean {
  const expected = createHmac('sha256', secret).update(body).digest();
  const given = Buffer.from(typeof signature === 'string' ? signature : '', 'hex');
  return given.length === expected.length && timingSafeEqual(given, expected);
}
