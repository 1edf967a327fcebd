import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../accounts/key-checker.ts';
import { allows, type Access, type Resource } from '../accounts/privileges.ts';
import { Refusal } from '../domain/failures.ts';

/** What a route needs of its caller's key; `public` routes need no key. */
export type Need = 'public' | { readonly resource: Resource; readonly access: Access };

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route says it. */
    needs?: Need;
  }
  interface FastifyRequest {
    /** Set on every route that is not public. */
    caller: Caller | null;
  }
}

/**
 * Hook that proves the caller by `x-api-key` before anything of its body is read.
 *
 * @throws {Refusal} `authentication_failed`, `permission_denied` (contract row 4)
 */
export function authHook(
  check: (key: string) => Promise<Caller | null>,
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request) => {
    const { needs } = request.routeOptions.config;
    // Unknown paths have no route, and nothing to protect.
    if (needs === undefined || needs === 'public') return;
    const key = request.headers['x-api-key'];
    const caller = typeof key === 'string' ? await check(key) : null;
    if (caller === null) throw new Refusal('authentication_failed');
    if (!allows(caller.privileges, needs.resource, needs.access)) throw new Refusal('permission_denied');
    request.caller = caller;
  };
}

/** The proven caller of a route that is not public. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw new Error('a route that asks for its caller is not public');
  return request.caller;
}
