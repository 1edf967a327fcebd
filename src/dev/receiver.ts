import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JsonObject } from '../domain/json.ts';

/** A verified delivery, as a brand's own backend gets it. */
export type OnWebhook = (event: JsonObject) => void;

/** A server that receives webhooks for several brands, each under its own path. */
export interface Receiver {
  /** URL of a brand's endpoint. */
  urlOf(brand: string): string;
  /** Receives for a brand from now on. `secret` is its `secret_shared_key`. */
  receive(brand: string, secret: string, onWebhook: OnWebhook): void;
  stop(): Promise<void>;
}

const TOLERANCE_SECONDS = 300;
const MAX_BODY_BYTES = 256 * 1024;

/**
 * What a partner does with a delivery before it trusts a byte of it: `X-Signature-V2` over the raw body, in constant
 * time, and a timestamp within five minutes (contract rows 18 to 20).
 */
export function isGenuine(headers: IncomingHttpHeaders, rawBody: Buffer, secret: string): boolean {
  const sent = Number(headers['x-timestamp']);
  if (!(Math.abs(Date.now() / 1000 - sent) <= TOLERANCE_SECONDS)) return false;
  const expected = createHmac('sha256', secret).update(rawBody).digest();
  const given = Buffer.from(String(headers['x-signature-v2'] ?? ''), 'hex');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/**
 * Listens on 127.0.0.1. An unknown brand gets 404, a delivery that is not genuine 401, the rest 204. A new destination is
 * pinged before its brand knows the secret, so that such a ping is answered unread.
 */
export async function startReceiver(port: number): Promise<Receiver> {
  const brands = new Map<string, { secret: string; onWebhook: OnWebhook }>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_BODY_BYTES) request.destroy();
      else chunks.push(chunk);
    });
    request.on('error', () => {});
    request.on('end', () => {
      const brand = brands.get(request.url?.split('/')[1] ?? '');
      const body = Buffer.concat(chunks);
      if (brand === undefined) {
        const isTest = request.headers['x-didit-test-webhook'] === 'true';
        return void response.writeHead(isTest ? 204 : 404).end();
      }
      if (!isGenuine(request.headers, body, brand.secret)) return void response.writeHead(401).end();
      response.writeHead(204).end();
      brand.onWebhook(JSON.parse(body.toString('utf8')) as JsonObject);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: listening } = server.address() as AddressInfo;
  return {
    urlOf: (brand) => `http://127.0.0.1:${listening}/${brand}/webhooks`,
    receive: (brand, secret, onWebhook) => void brands.set(brand, { secret, onWebhook }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
