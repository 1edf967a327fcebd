import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Receiving Didit's own webhooks. */
export function ingestionRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
