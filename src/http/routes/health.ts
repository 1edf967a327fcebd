import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../app.ts';
import { healthContracts } from '../schemas/health.ts';

/** Whether this process lives, and whether it can do its work. */
export function healthRoutes(app: FastifyInstance, { readiness }: AppDeps): void {
  app.route({
    method: 'GET',
    url: '/healthz',
    config: { needs: 'public', rateLimit: 'none', contract: healthContracts.alive },
    handler: () => ({ status: 'ok' }),
  });

  // The same as Didit asks it.
  app.route({
    method: 'GET',
    url: '/system/healthcheck',
    config: { needs: 'public', rateLimit: 'none', contract: healthContracts.check },
    handler: () => ({ status: 'ok', timestamp: new Date().toISOString() }),
  });

  app.route({
    method: 'GET',
    url: '/readyz',
    config: { needs: 'public', rateLimit: 'none', contract: healthContracts.ready },
    handler: async (_request, reply) => {
      const checks = await readiness();
      const serves = checks.database === 'ok' && checks.migrations === 'ok';
      const well = Object.values(checks).every((check) => check === 'ok');
      // Without Temporal every call is still answered, so traffic must go on coming here.
      void reply.code(serves ? 200 : 503);
      return { status: well ? 'ok' : serves ? 'degraded' : 'unavailable', checks };
    },
  });
}
