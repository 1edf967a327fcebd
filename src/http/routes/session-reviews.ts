import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Changing the status of sessions, and their reviews. */
export function sessionReviewRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
