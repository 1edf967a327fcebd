import type { FastifyInstance } from 'fastify';
import type { Need } from '../auth.ts';
import type { RouteContract } from '../schemas/contract.ts';

/** A route, as its documentation and its tests see it. */
export interface DocumentedRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With Fastify's parameters: `/v3/session/:session_id/share/`. */
  readonly url: string;
  readonly needs: Need;
  readonly contract: RouteContract;
  /** Bytes. */
  readonly bodyLimit: number;
  /** Whether its calls are counted. */
  readonly limited: boolean;
}

/** Collects the app's routes that have a contract, as they are added. */
export function collectRoutes(app: FastifyInstance): readonly DocumentedRoute[] {
  const routes: DocumentedRoute[] = [];
  app.addHook('onRoute', ({ method, url, config, bodyLimit }) => {
    const { needs, contract, rateLimit } = config ?? {};
    if (needs === undefined || contract === undefined) return;
    for (const one of [method].flat()) {
      routes.push({
        method: one as DocumentedRoute['method'],
        url,
        needs,
        contract,
        bodyLimit: bodyLimit ?? app.initialConfig.bodyLimit ?? 0,
        limited: rateLimit !== 'none',
      });
    }
  });
  return routes;
}

/** Names of the parameters in a route's path. */
export function pathParameters(url: string): string[] {
  return [...url.matchAll(/:([a-z_]+)/g)].map(([, name = '']) => name);
}

/** The path as OpenAPI writes it: `/v3/session/{session_id}/share/`. */
export function openApiPath(url: string): string {
  return url.replace(/:([a-z_]+)/g, '{$1}');
}
