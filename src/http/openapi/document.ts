import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../domain/json.ts';
import { HEADERS } from './headers.ts';
import { createSchemaWriter } from './json-schemas.ts';
import { operationOf } from './operation.ts';
import { ERROR_SCHEMAS, refusalExamples, sharedResponses } from './refusals.ts';
import { openApiPath, type DocumentedRoute } from './routes.ts';
import { TAGS } from './tags.ts';
import { WEBHOOK_PARAMETERS, webhooksOf } from './webhooks.ts';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const DESCRIPTION = `Hand a finished KYC or KYB verification from one brand to another: once, safely, and as a durable run.

Routes under \`/v3\` and \`/auth/v2\` follow Didit's API; those under \`/v1\` are this service's own.

- **Keys.** \`x-api-key\` proves the application. Without a valid key: 401. With one that lacks the privilege, or is used
  from an address that it does not allow: 403. Whatever belongs to another application: 404.
- **Errors** have a stable \`code\`; a request's wrong fields are named, each with its sentences.
- **Once.** A POST with an \`Idempotency-Key\` has its effect once in 24 hours, and answers the same again.
- **Paths** end in a slash; the same path without it is served too, never redirected.
- **Unknown fields** of a body are ignored under \`/v3\` and \`/auth/v2\`, and refused under \`/v1\`.
- **Lists** are pages: \`{count, next, previous, results}\` with \`limit\` and \`offset\`.
- **Webhooks** tell what happens: each is signed, tried for some three days until it is taken, and to be acted on once by
  its \`event_id\`. \`webhooks\` in this document has them all.
- **Limits** are counted per key and minute, and told in \`X-RateLimit-*\`; above them: 429 with \`Retry-After\`.

Of Didit's routes these are not served: \`generate-pdf\`; \`update-data\`, \`update-poa-data\` and the other edits of a session's
data; \`features/…/update-status\`; a session's \`events\` and \`?include=events\`; billing; the standalone checks; and the one
webhook of old at \`/v3/webhook/\` (destinations take its place).`;

const COMPONENTS: JsonObject = {
  securitySchemes: {
    ApiKey: {
      type: 'apiKey',
      in: 'header',
      name: 'x-api-key',
      description: 'A key of one application. Each route names the privileges that it needs.',
    },
    AccessToken: {
      type: 'http',
      scheme: 'bearer',
      description: 'The access token of a person who logged in, for provisioning under `/auth/v2`.',
    },
  },
  parameters: {
    IdempotencyKey: {
      name: 'Idempotency-Key',
      in: 'header',
      required: false,
      description:
        'Any text of your own, such as a UUID. The same key with the same request has its effect once in 24 hours.',
      schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
    },
    XRequestId: {
      name: 'X-Request-Id',
      in: 'header',
      required: false,
      description: 'Your own name for this request; it comes back in the answer and stands in our logs.',
      schema: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,128}$' },
    },
    ...WEBHOOK_PARAMETERS,
  },
  headers: HEADERS,
};

const METHODS = ['GET', 'PUT', 'POST', 'PATCH', 'DELETE'];

/** The OpenAPI 3.1 document of these routes: the same routes give the same document, whatever their order. */
export function openApiDocument(routes: readonly DocumentedRoute[]): JsonObject {
  const schemas = createSchemaWriter();
  const ordered = routes.toSorted(
    (a, b) => compare(a.url, b.url) || METHODS.indexOf(a.method) - METHODS.indexOf(b.method),
  );
  const paths: Record<string, JsonObject> = {};
  for (const route of ordered) {
    const item = (paths[openApiPath(route.url)] ??= {});
    item[route.method.toLowerCase()] = operationOf(route, schemas);
  }
  const webhooks = webhooksOf(schemas);
  const responses = used(sharedResponses(), 'responses', JSON.stringify(paths));
  const examples = used(refusalExamples(), 'examples', JSON.stringify([paths, responses]));
  const tags = new Set<string>(routes.map(({ contract }) => contract.tag));
  return {
    openapi: '3.1.0',
    info: {
      title: 'Handoff',
      version,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [
      { url: '/', description: 'Where this document was read' },
      {
        url: '{origin}',
        description: 'A server of your own',
        variables: { origin: { default: 'http://localhost:8080', description: 'Scheme, host and port' } },
      },
    ],
    tags: Object.entries(TAGS)
      .filter(([name]) => tags.has(name))
      .map(([name, description]) => ({ name, description })),
    paths,
    webhooks,
    components: { schemas: sorted({ ...ERROR_SCHEMAS, ...schemas.components() }), responses, examples, ...COMPONENTS },
  };
}

/** The document as it is served and committed. */
export function openApiText(routes: readonly DocumentedRoute[]): string {
  return `${JSON.stringify(openApiDocument(routes), null, 2)}\n`;
}

/** The components that something refers to. */
function used(components: JsonObject, kind: string, referring: string): JsonObject {
  return Object.fromEntries(
    Object.entries(components).filter(([name]) => referring.includes(`"#/components/${kind}/${name}"`)),
  );
}

function sorted(members: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(members).sort(([a], [b]) => compare(a, b)));
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
