import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** Verification workflows. */
export function verificationWorkflowRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
