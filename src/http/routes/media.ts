import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Files of sessions. */
export function mediaRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
