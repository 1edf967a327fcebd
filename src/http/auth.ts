import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../accounts/key-checker.ts';
import { isAllowedFrom } from '../accounts/allowed-addresses.ts';
import { allows, type Access, type Resource } from '../accounts/privileges.ts';
import type { Actor } from '../domain/events.ts';
import { Refusal } from '../domain/failures.ts';
import type { LoggedIn } from '../postgres/logins.ts';

/** One privilege of a key. */
export interface Privilege {
  readonly resource: Resource;
  readonly access: Access;
}

/**
 * What a route needs of its caller's key, a second privilege in `also`; `account` routes need a person's access token,
 * `public` routes need nothing.
 */
export type Need = 'public' | 'account' | (Privilege & { readonly also?: Privilege });

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route says it. */
    needs?: Need;
    /** The route refuses a deleted application itself, where the contract's order of refusals has its place. */
    judgesDeletion?: true;
  }
  interface FastifyRequest {
    /** Set on every route that needs a key. */
    caller: Caller | null;
    /** Set on every route that needs an access token. */
    account: LoggedIn | null;
  }
}

const DELETED = 'This application has been deleted: what it holds can be read, and nothing of it changed.';

/** What proves callers. */
export interface Proofs {
  /** Who calls with an API key. */
  readonly ofKey: (key: string) => Promise<Caller | null>;
  /** Who calls with an access token. */
  readonly ofAccessToken: (token: string) => Promise<LoggedIn | null>;
  /** Told of each key that was let in. */
  readonly keyUsed: (keyId: string) => void;
  /** Counts a call that is refused; throws a refusal of its own when there were too many. */
  readonly refused: (request: FastifyRequest, reply: FastifyReply) => Promise<void>;
}

/**
 * Hook that proves the caller, by `x-api-key` or by `Authorization: Bearer`, before anything of its body is read.
 *
 * @throws {Refusal} `authentication_failed`, `permission_denied` (contract row 4), and `application_deleted` for the
 *   writes of a deleted application; `rate_limited` in their place when there were too many of them
 */
export function authHook(proofs: Proofs): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request, reply) => {
    try {
      await proveCaller(request, proofs);
    } catch (error) {
      if (error instanceof Refusal) await proofs.refused(request, reply);
      throw error;
    }
  };
}

async function proveCaller(request: FastifyRequest, proofs: Proofs): Promise<void> {
  const { needs, judgesDeletion } = request.routeOptions.config;
  // Unknown paths have no route, and nothing to protect.
  if (needs === undefined || needs === 'public') return;
  if (needs === 'account') {
    request.account = await accountBehind(request.headers.authorization, proofs);
    // People behind one address have budgets of their own.
    request.limitedBy = `account:${request.account.accountId}`;
    return;
  }
  const key = request.headers['x-api-key'];
  const caller = typeof key === 'string' ? await proofs.ofKey(key) : null;
  if (caller === null) throw new Refusal('authentication_failed');
  if (!isAllowedFrom(caller.allowedAddresses, request.ip)) throw new Refusal('permission_denied');
  const wanted = needs.also === undefined ? [needs] : [needs, needs.also];
  if (!wanted.every(({ resource, access }) => allows(caller.privileges, resource, access))) {
    throw new Refusal('permission_denied');
  }
  const writes = wanted.some(({ access }) => access === 'write');
  if (caller.applicationDeleted && writes && judgesDeletion !== true) {
    throw new Refusal('application_deleted', { detail: DELETED });
  }
  request.caller = caller;
  proofs.keyUsed(caller.keyId);
}

async function accountBehind(authorization: string | undefined, { ofAccessToken }: Proofs): Promise<LoggedIn> {
  const [, token] = /^Bearer +([\w.-]+) *$/i.exec(authorization ?? '') ?? [];
  const account = token === undefined ? null : await ofAccessToken(token);
  if (account === null) throw new Refusal('authentication_failed');
  return account;
}

/** The proven caller of a route that needs a key. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw new Error('a route that asks for its caller needs a key');
  return request.caller;
}

/** The person behind a route that needs an access token. */
export function accountOf(request: FastifyRequest): LoggedIn {
  if (request.account === null) throw new Error('a route that asks for its account needs an access token');
  return request.account;
}

/** Who calls, as the audit trail names them; the system acts for those who have neither a key nor an access token. */
export function actorOf({ caller, account, id: requestId }: FastifyRequest): Actor {
  if (caller !== null) {
    return { kind: 'api_key', id: caller.keyId, applicationId: caller.applicationId, requestId };
  }
  return account === null
    ? { kind: 'system', id: null, requestId }
    : { kind: 'account', id: account.accountId, requestId };
}
