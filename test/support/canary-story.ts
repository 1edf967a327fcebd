import { EVENT_TYPES } from '../../src/domain/events.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { readSample, type Sample } from './brands.ts';
import { plantDocument, type CanaryBook } from './canaries.ts';
import type { CanaryStack } from './canary-stack.ts';
import { dataUri, someFile } from './files.ts';
import { receive } from './loopback.ts';

/** An answer of the API. */
export interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

/** How a receiver answers: a good one, one that fails, one that sends elsewhere, one that is gone. All repeat the request. */
export type Manner = 'takes' | 'fails' | 'redirects' | 'gone';

/** A brand with everything that it was given, all of it in the book. */
export interface Planted {
  readonly id: string;
  readonly key: string;
  readonly name: string;
}

/** Calls and brands of a story that is told with canaries. */
export interface CanaryStory {
  /** @param as an API key, an access token, or nobody */
  call(
    as: { readonly key?: string; readonly bearer?: string } | null,
    method: string,
    path: string,
    body?: JsonObject | Buffer,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
  /** The same, of a call that succeeds. */
  done(...call: Parameters<CanaryStory['call']>): Promise<JsonObject>;
  /** Registers an account, proves its address, logs in; resolves to its access token and its organization. */
  person(): Promise<{ bearer: string; organization: string }>;
  /** A sandbox application of the organization, with a destination unless `manner` is null. */
  brand(
    name: string,
    by: { readonly bearer: string; readonly organization: string },
    manner: Manner | null,
  ): Promise<Planted>;
  connect(issuer: Planted, partner: Planted, terms: JsonObject): Promise<void>;
  /** A sample with canaries in every place. */
  document(name: string, sample: Sample): JsonObject;
  takeIn(issuer: Planted, document: JsonObject): Promise<string>;
  open(issuer: Planted, partner: Planted, sessionId: string, ttlSeconds?: number): Promise<string>;
  ended(issuer: Planted, tokenId: string, poll: <T>(read: () => Promise<T>) => Promise<T>): Promise<JsonObject>;
  /** What receivers got: whose it is, URL and headers, the body as text, and the body. */
  readonly received: readonly {
    readonly name: string;
    readonly head: string;
    readonly text: string;
    readonly body: JsonObject;
  }[];
  /** Waits for a webhook of a type about a token; its share token is in the book from then on. */
  heard(partner: Planted, type: string, tokenId: string): Promise<JsonObject>;
  stop(): Promise<void>;
}

/** Notes every segment of a share token. */
export function noteToken(book: CanaryBook, name: string, token: string): string {
  book.note('secret', name, token);
  const [header = '', payload = '', signature = ''] = token.split('.');
  for (const [part, segment] of Object.entries({ header, payload, signature })) {
    // All tokens of a key have the same header, which is no secret by itself.
    if (part !== 'header') book.note('secret', `${name}: its ${part}`, segment);
  }
  return token;
}

/** Starts the receivers of a story. */
export async function canaryStory(book: CanaryBook, stack: CanaryStack): Promise<CanaryStory> {
  const received: CanaryStory['received'][number][] = [];
  const manners = new Map<string, { name: string; manner: Manner }>();
  const server = await receive((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { name = '?', manner = 'takes' } = manners.get(request.url ?? '') ?? {};
      const text = Buffer.concat(chunks).toString();
      const body = JSON.parse(text) as JsonObject;
      received.push({ name, head: JSON.stringify([request.url, request.headers]), text, body });
      const ping = body['webhook_type'] === 'webhook.ping';
      const token = typeof body['share_token'] === 'string' ? body['share_token'] : 'none';
      const status = ping ? 200 : { takes: 200, fails: 500, redirects: 302, gone: 410 }[manner];
      const elsewhere = status === 302 ? { location: `http://127.0.0.1:${server.port}/elsewhere?token=${token}` } : {};
      response.writeHead(status, { 'content-type': 'application/json', ...elsewhere }).end(`you said: ${text}`);
    });
  });

  const story: CanaryStory = {
    received,
    call: async (as, method, path, body, headers = {}) => {
      const response = await fetch(new URL(path, stack.apiUrl), {
        method,
        redirect: 'manual',
        headers: {
          ...(as?.key !== undefined && { 'x-api-key': as.key }),
          ...(as?.bearer !== undefined && { authorization: `Bearer ${as.bearer}` }),
          ...(body !== undefined && !Buffer.isBuffer(body) && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
      return { status: response.status, body: isJson && text !== '' ? (JSON.parse(text) as JsonObject) : { text } };
    },
    done: async (...call) => {
      const { status, body } = await story.call(...call);
      if (status > 299) throw new Error(`${call[1]} ${call[2]}: ${status} ${JSON.stringify(body)}`);
      return body;
    },
    person: async () => {
      const email = `${book.plant('personal', 'e-mail of an account')}@canary.example`;
      const password = `${book.plant('secret', 'password')}-Aa7`;
      const auth = (route: string, body: JsonObject) =>
        story.call(null, 'POST', `/auth/v2/programmatic/${route}/`, body);
      await auth('register', { email, password });
      const code = book.note('secret', 'one-time code', await stack.mailbox.codeFor(email));
      await auth('verify-email', { email, code: 'AAAAAA' });
      const { body: verified } = await auth('verify-email', { email, code });
      await auth('register', { email, password });
      await auth('login', { email, password: book.plant('secret', 'wrong password') });
      await auth('login', { email, password: 7 });
      const { body: login } = await auth('login', { email, password });
      const { body: fresh } = await auth('refresh', { refresh_token: String(login['refresh_token']) });
      for (const [name, tokens] of Object.entries({ verified, login, fresh })) {
        book.note('secret', `access token: ${name}`, tokens['access_token']);
        book.note('secret', `access token’s signature: ${name}`, String(tokens['access_token']).split('.')[2]);
        book.note('secret', `refresh token: ${name}`, tokens['refresh_token']);
      }
      const application = verified['application'] as JsonObject;
      book.note('secret', 'API key of the first application', application['api_key']);
      const organization = String((verified['organization'] as JsonObject)['uuid']);
      return { bearer: String(fresh['access_token']), organization };
    },
    brand: async (name, { bearer, organization }, manner) => {
      const path = `/auth/v2/organizations/me/${organization}/applications/`;
      const text = (what: string) => book.plant('name_of_ours', `${name}’s ${what}`);
      const made = await story.done({ bearer }, 'POST', path, {
        name: text('name'),
        description: text('description'),
        website_url: `https://${text('website')}.example/`,
        redirect_uris: [`https://${text('redirect')}.example/`],
      });
      const key = book.note('secret', `${name}’s API key`, made['api_key']);
      book.note('secret', `${name}’s API key’s random part`, key.split('_').slice(3).join('_'));
      const brand = { id: String(made['uuid']), key, name };
      if (manner === null) return brand;
      const hook = `/${book.plant('receiver_url', `${name}’s receiver`)}`;
      manners.set(hook, { name, manner });
      const destination = await story.done(brand, 'POST', '/v3/webhook/destinations/', {
        url: `http://127.0.0.1:${server.port}${hook}`,
        label: book.plant('label', `${name}’s destination`),
        subscribed_events: [...EVENT_TYPES],
      });
      for (const form of ['secret_shared_key', 'secret_standard_webhooks']) {
        book.note('secret', `${name}’s ${form}`, destination[form]);
      }
      const standard = String(destination['secret_standard_webhooks']).replace(/^whsec_/, '');
      book.note('secret', `${name}’s webhook secret`, standard);
      book.note('secret', `${name}’s webhook secret in hexadecimal`, Buffer.from(standard, 'base64').toString('hex'));
      return brand;
    },
    connect: async (issuer, partner, terms) => {
      const agreement = (side: string) => ({
        reference: book.plant('agreement', `${side}: reference`),
        document_sha256: 'a'.repeat(64),
        legal_basis: book.plant('agreement', `${side}: legal basis`),
        purpose: book.plant('agreement', `${side}: purpose`),
        signer: book.plant('personal', `${side}: signer`),
        signed_on: '2026-01-01',
      });
      const proposed = await story.done(issuer, 'POST', '/v1/connections/', {
        partner_application_id: partner.id,
        agreement: agreement('issuer'),
      });
      const path = `/v1/connections/${String(proposed['connection_id'])}/`;
      await story.done(partner, 'PATCH', path, { status: 'active', agreement: agreement('partner'), ...terms });
    },
    document: (name, sample) => {
      const planted = plantDocument(book, readSample(sample), name);
      const documents = planted['id_verifications'];
      if (!Array.isArray(documents)) return planted;
      const file = Buffer.concat([someFile('image/png'), Buffer.from(book.plant('personal', `${name} file`))]);
      const [first, ...more] = documents as JsonObject[];
      const expiration_date = book.note('document_expiry', 'expiry of a document', '2087-10-29');
      const issuing_state = book.note('personal', 'something else than a code', 'ZQ8 KWYX');
      const changed = { ...first, front_image: dataUri('image/png', file), expiration_date, issuing_state };
      return { ...planted, id_verifications: [changed, ...more] };
    },
    takeIn: async (issuer, document) =>
      String((await story.done(issuer, 'POST', '/v1/sessions/', document))['session_id']),
    open: async (issuer, partner, sessionId, ttlSeconds) => {
      const opened = await story.done(
        issuer,
        'POST',
        '/v1/onboardings/',
        { session_id: sessionId, for_application_id: partner.id, ...(ttlSeconds && { ttl_in_seconds: ttlSeconds }) },
        { 'idempotency-key': book.plant('idempotency_key', 'Idempotency-Key') },
      );
      return String(opened['token_id']);
    },
    ended: (issuer, tokenId, poll) =>
      poll(async () => {
        const onboarding = await story.done(issuer, 'GET', `/v1/onboardings/${tokenId}/`);
        if (onboarding['ended_at'] === null) throw new Error(`${tokenId} has not ended: ${JSON.stringify(onboarding)}`);
        return onboarding;
      }),
    heard: async (partner, type, tokenId) => {
      for (const until = Date.now() + 20_000; ;) {
        if (Date.now() > until) throw new Error(`${partner.name} has not heard ${type} of ${tokenId}`);
        const found = received.find(
          ({ name, body }) => name === partner.name && body['webhook_type'] === type && body['token_id'] === tokenId,
        );
        if (found !== undefined) {
          const token = found.body['share_token'];
          if (typeof token === 'string') noteToken(book, `share token to ${partner.name}`, token);
          return found.body;
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    stop: () => server.close(),
  };
  return story;
}
