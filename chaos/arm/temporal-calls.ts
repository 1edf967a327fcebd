import { Client } from '@grpc/grpc-js';
import type { Armed } from './armed.ts';

const METHODS: Readonly<Record<string, readonly string[]>> = {
  'start-workflow': ['StartWorkflowExecution', 'SignalWithStartWorkflowExecution'],
  signal: ['SignalWorkflowExecution'],
};

type Answered = (error: Error | null, answer?: unknown) => void;

/**
 * `start-workflow:before|after` and `signal:before|after`: the client's call to Temporal is about to be made; or Temporal
 * has done it, and the caller has not heard.
 */
export function armTemporalCalls(armed: Armed): void {
  const [call = '', moment] = armed.point.split(':');
  const methods = METHODS[call] ?? [];
  const prototype = Client.prototype as unknown as { makeUnaryRequest: (...all: unknown[]) => unknown };
  const { makeUnaryRequest } = prototype;
  // Path, two converters, the encoded request, and the callback last.
  prototype.makeUnaryRequest = function (this: unknown, ...all: unknown[]) {
    const [path, , , request] = all;
    if (!methods.some((method) => String(path).endsWith(`/${method}`))) return makeUnaryRequest.apply(this, all);
    // Its ids stand in it as they are.
    const about = Buffer.from(request as Uint8Array).toString('latin1');
    if (moment === 'before') armed.reached([about]);
    const callback = all.at(-1) as Answered;
    const told: Answered = (error, answer) => {
      if (error === null && moment === 'after') armed.reached([about]);
      callback(error, answer);
    };
    return makeUnaryRequest.apply(this, [...all.slice(0, -1), told]);
  };
}
