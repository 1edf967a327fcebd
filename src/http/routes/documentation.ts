import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** The OpenAPI document and its page. */
export function documentationRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
