import { createHash } from 'node:crypto';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { openApiText } from '../openapi/document.ts';
import { collectRoutes, type DocumentedRoute } from '../openapi/routes.ts';
import { documentationContracts } from '../schemas/documentation.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Every route with a contract; complete when the app is ready. */
    documentedRoutes: readonly DocumentedRoute[];
  }
}

const PAGE = '/docs';

/** The page loads nothing from elsewhere and can be framed by nobody. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Watches the routes for their documentation: to be called before the first is added. */
export function describeRoutes(app: FastifyInstance): void {
  app.decorate('documentedRoutes', collectRoutes(app));
  app.addHook('onRoute', (route) => {
    // The page's routes come from a package, which knows nothing of what we ask of a route.
    if (route.url === PAGE || route.url.startsWith(`${PAGE}/`)) route.config = { ...route.config, needs: 'public' };
  });
}

/** The OpenAPI document and its page. */
export function documentationRoutes(app: FastifyInstance): void {
  // As bytes, of which answers share one copy.
  let document: { readonly bytes: Buffer; readonly etag: string } | undefined;
  const documentOf = () => {
    if (document === undefined) {
      const bytes = Buffer.from(openApiText(app.documentedRoutes));
      document = { bytes, etag: `"${createHash('sha256').update(bytes).digest('base64url')}"` };
    }
    return document;
  };

  app.route({
    method: 'GET',
    url: '/v1/openapi.json',
    config: { needs: 'public', contract: documentationContracts.openapi },
    handler: (request, reply) => {
      const { bytes, etag } = documentOf();
      void reply.headers({ etag, 'cache-control': 'public, max-age=300' });
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      return reply.type('application/json; charset=utf-8').send(bytes);
    },
  });

  void app.register(async (scope) => {
    scope.addHook('onSend', (_request, reply, payload, done) => {
      void reply.header('content-security-policy', CONTENT_SECURITY_POLICY);
      done(null, payload);
    });
    await scope.register(swagger, {
      mode: 'static',
      specification: { document: JSON.parse(documentOf().bytes.toString()) as object as never },
    });
    await scope.register(swaggerUi, {
      routePrefix: PAGE,
      theme: { title: 'Handoff API' },
      uiConfig: { docExpansion: 'list', tryItOutEnabled: false },
    });
  });
}
