import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Armed } from './armed.ts';

/**
 * `reply:<METHOD> <route>`: the request had its effect, and nothing of its answer is written. Answers other than 2xx
 * have had none and pass.
 */
export function armReplies(armed: Armed): void {
  const [method, route = ''] = armed.point.slice('reply:'.length).split(' ');
  const path = new RegExp(`^${route.replaceAll(/:\w+/g, '[^/]+')}$`);
  subscribe('http.server.request.start', (message) => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
    const [called = ''] = (request.url ?? '').split('?');
    if (request.method !== method || !path.test(called)) return;
    const writeHead = response.writeHead.bind(response);
    response.writeHead = (status: number, ...rest: unknown[]) => {
      const key = request.headers['idempotency-key'];
      if (status >= 200 && status < 300) armed.reached([called, String(key ?? '')]);
      return (writeHead as (...all: unknown[]) => ServerResponse)(status, ...rest);
    };
  });
}
