import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Listing and searching sessions. */
export function sessionListRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
