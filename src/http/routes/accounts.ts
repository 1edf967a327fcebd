import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Registering, proving an address, logging in: `/auth/v2/programmatic/`. */
export function accountRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
