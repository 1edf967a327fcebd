import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { isProduction, type Environment } from './config.ts';

/**
 * For crash tests: kills this process at a point of an activity, so that what follows must stand without it.
 * `FAIL_AT=<activity>:before` or `<activity>:after` its effect, optionally `:<n>` for the n-th time; default the first.
 *
 * @throws {Error} in production, where nobody may arm it
 */
export function crashPoints(env: Environment): ActivityInterceptorsFactory[] {
  const armed = env['FAIL_AT'];
  if (armed === undefined || armed === '') return [];
  if (isProduction(env)) throw new Error('FAIL_AT is for crash tests and is refused in production');
  const [activity, moment, count = '1'] = armed.split(':');
  let left = Number(count);
  const pass = (name: string, at: 'before' | 'after') => {
    if (name !== activity || at !== moment) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, 'SIGKILL');
  };
  return [
    (context) => ({
      inbound: {
        execute: async (input, next) => {
          pass(context.info.activityType, 'before');
          const result: unknown = await next(input);
          pass(context.info.activityType, 'after');
          return result;
        },
      },
    }),
  ];
}
