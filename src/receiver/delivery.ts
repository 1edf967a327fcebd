import { WebhookVerificationError } from './verification-error.ts';

/** A `Headers` object, or a record with names in any case as Node's `request.headers`. */
export type WebhookHeaders =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/** The body exactly as it came, before anything parsed it. */
export type WebhookBody = string | Uint8Array | ArrayBuffer;

/** A webhook before it is believed. */
export interface Delivery {
  /** A header by its lower-case name; undefined when it is not there or empty. */
  readonly header: (name: string) => string | undefined;
  /** The body, copied: what is verified cannot change before it is parsed. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * @throws {WebhookVerificationError} `body_too_large`
 * @throws {TypeError} when the body is no text and no bytes, as one that was parsed already
 */
export function deliveryOf(headers: WebhookHeaders, body: WebhookBody, maxBodyBytes: number): Delivery {
  const bytes = bytesOf(body);
  // Nobody has signed it yet: whoever finds the endpoint could keep it busy.
  if (bytes.length > maxBodyBytes) {
    throw new WebhookVerificationError('body_too_large', `The body is longer than ${maxBodyBytes} bytes.`);
  }
  return { header: (name) => headerOf(headers, name), bytes };
}

function headerOf(headers: WebhookHeaders, name: string): string | undefined {
  const values = valuesOf(headers, name).filter((value) => value !== '');
  // Of the list of signatures more of the same is fine; of anything else nobody could tell which one counts.
  if (values.length > 1 && name !== 'webhook-signature') {
    throw new WebhookVerificationError('malformed_headers', `The header ${name} is there more than once.`);
  }
  return values.length === 0 ? undefined : values.join(' ');
}

function valuesOf(headers: WebhookHeaders, name: string): string[] {
  if (hasGet(headers)) return [headers.get(name) ?? ''];
  return Object.entries(headers)
    .filter(([key]) => key.toLowerCase() === name)
    .flatMap(([, value]) => value ?? []);
}

function hasGet(headers: WebhookHeaders): headers is { get(name: string): string | null } {
  return typeof headers['get'] === 'function';
}

function bytesOf(body: WebhookBody): Uint8Array<ArrayBuffer> {
  if (typeof body === 'string') return new TextEncoder().encode(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body);
  // Not instanceof: a buffer of another realm, as in test runners, is one too.
  if (Object.prototype.toString.call(body) === '[object ArrayBuffer]') return new Uint8Array(body).slice();
  throw new TypeError('body: pass the raw body as text or bytes, not what a JSON parser made of it');
}
