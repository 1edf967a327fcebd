import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Named API keys of an application. */
export function apiKeyRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
