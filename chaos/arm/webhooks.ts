import { subscribe } from 'node:diagnostics_channel';
import { runUnderWay, type Armed } from './armed.ts';

/** What undici tells of a request. */
interface Told {
  readonly request: { readonly method: string; readonly path: string; readonly headers: unknown };
}

/**
 * `webhook:before-send`: the delivery is claimed, and no byte of it is sent. `webhook:after-answer`: the receiver has
 * answered, and it is not recorded. Downloads of files pass.
 */
export function armWebhooks(armed: Armed): void {
  const channel = armed.point === 'webhook:before-send' ? 'undici:client:sendHeaders' : 'undici:request:headers';
  subscribe(channel, (message) => {
    const { method, path, headers } = (message as Told).request;
    if (method === 'POST') armed.reached([path, JSON.stringify(headers), runUnderWay()]);
  });
}
