import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Taking in files of sessions. */
export function sessionImportRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
