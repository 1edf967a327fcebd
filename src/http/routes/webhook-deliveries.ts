import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';

/** The log of webhook deliveries. */
export function webhookDeliveryRoutes(_app: FastifyInstance, _deps: AppDeps): void {}
