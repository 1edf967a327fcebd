import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Users and businesses. */
export function entityRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
