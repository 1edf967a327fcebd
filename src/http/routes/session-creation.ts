import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Creating sessions, and simulating them in the sandbox. */
export function sessionCreationRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
