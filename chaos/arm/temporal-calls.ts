import { WorkflowClient } from '@temporalio/client';
import type { Armed } from './armed.ts';

/** What the client does at last, whichever connection it has. */
const HANDLERS: Readonly<Record<string, readonly string[]>> = {
  'start-workflow': ['_startWorkflowHandler', '_signalWithStartWorkflowHandler'],
  signal: ['_signalWorkflowHandler'],
};

type Handler = (this: unknown, input: object) => Promise<unknown>;

/**
 * `start-workflow:before|after` and `signal:before|after`: the client's call to Temporal is about to be made; or Temporal
 * has done it, and the caller has not heard.
 */
export function armTemporalCalls(armed: Armed): void {
  const [call = '', moment] = armed.point.split(':');
  const client = WorkflowClient.prototype as unknown as Record<string, Handler | undefined>;
  for (const name of HANDLERS[call] ?? []) {
    const handler = client[name];
    if (handler === undefined) throw new Error(`Temporal's client has no ${name}`);
    client[name] = async function (input) {
      const about = JSON.stringify(input);
      if (moment === 'before') armed.reached([about]);
      const answer = await handler.call(this, input);
      if (moment === 'after') armed.reached([about]);
      return answer;
    };
  }
}
