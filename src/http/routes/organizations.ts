import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Organizations and their applications: `/auth/v2/organizations/`. */
export function organizationRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
