import type { FastifyInstance, FastifyRequest } from 'fastify';
import { showNetwork } from '../../accounts/allowed-addresses.ts';
import { createApiKey } from '../../accounts/applications.ts';
import { RESOURCES } from '../../accounts/privileges.ts';
import { invalidFields, Refusal } from '../../domain/failures.ts';
import type { JsonObject } from '../../domain/json.ts';
import {
  changeApiKey,
  isToCome,
  listApiKeys,
  lockApiKey,
  readApiKey,
  revokeApiKey,
  type ApiKeyRow,
} from '../../postgres/api-keys.ts';
import { readKeyHolder } from '../../postgres/organizations.ts';
import type { Transaction } from '../../postgres/tenants.ts';
import type { EventStore } from '../../sharing/ports.ts';
import type { AppDeps } from '../app.ts';
import { accountOf, actorOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { ownApplicationIds } from '../own-organization.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery } from '../requests.ts';
import { apiKeyContracts, changeKeyBody, createKeyBody, keysQuery } from '../schemas/api-keys.ts';

const KEYS = '/auth/v2/organizations/me/:organization_id/applications/:application_id/api-keys/';
const KEY = `${KEYS}:key_id/`;
const KEY_ID = /^[0-9A-Za-z]{16}$/;
const DELETED = 'This application has been deleted: its keys can be read and revoked, not made or changed.';

type KeyHolder = NonNullable<Awaited<ReturnType<typeof readKeyHolder>>>;

/** Named API keys of an application, with what each may do, from where and until when. */
export function apiKeyRoutes(app: FastifyInstance, { tenants }: AppDeps): void {
  /** Works on the keys of the application in the path. A deleted one's go on reading, so they can be seen and revoked. */
  function onKeysOf<T>(
    { organizationId, applicationId }: ReturnType<typeof ownApplicationIds>,
    work: (sql: Transaction, application: KeyHolder, events: EventStore) => Promise<T>,
  ): Promise<T> {
    return tenants.withTenant(
      applicationId,
      async (tx, sql) => {
        const application = await readKeyHolder(sql, organizationId, applicationId);
        if (application === null) throw new Refusal('not_found');
        return work(sql, application, tx.events);
      },
      'account',
    );
  }

  /** The same for what gives rights, which a deleted application no longer can. */
  function onLivingKeysOf<T>(
    ids: ReturnType<typeof ownApplicationIds>,
    work: (sql: Transaction, application: KeyHolder, events: EventStore) => Promise<T>,
  ): Promise<T> {
    return onKeysOf(ids, async (sql, application, events) => {
      if (application.deleted) throw new Refusal('application_deleted', { detail: DELETED });
      return work(sql, application, events);
    });
  }

  app.route({
    method: 'GET',
    url: KEYS,
    config: { needs: 'account', contract: apiKeyContracts.list },
    handler: async (request) => {
      const ids = ownApplicationIds(request);
      const page = parseQuery(keysQuery, request);
      const { count, rows } = await onKeysOf(ids, (sql) => listApiKeys(sql, ids.applicationId, page));
      return pageOf(request, page, { count, items: rows.map(keyBody) });
    },
  });

  app.route({
    method: 'POST',
    url: KEYS,
    config: { needs: 'account', contract: apiKeyContracts.create },
    handler: async (request, reply) => {
      const ids = ownApplicationIds(request);
      const { applicationId } = ids;
      const body = parseBody(createKeyBody, request);
      const outcome = await onLivingKeysOf(ids, (sql, { environment }, events) => {
        const read = (keyId: string) => readApiKey(sql, applicationId, keyId);
        return oncePerKey<{ row: ApiKeyRow; apiKey: string | null }>(request, sql, {
          run: async () => {
            await checkExpiry(sql, body.expires_at);
            const made = createApiKey(sql, {
              applicationId,
              environment,
              name: body.name,
              privileges: body.privileges,
              expiresAt: body.expires_at ?? null,
              allowedAddresses: body.allowed_addresses ?? [],
              createdBy: accountOf(request).accountId,
            });
            const row = await read(made.keyId);
            if (row === null) throw new Error('a key that was written is there');
            const change = { type: 'api_key.created', applicationId, keyId: row.keyId } as const;
            events.record([{ ...change, after: stateOf(row) }], actorOf(request));
            return { status: 201, resourceId: made.keyId, result: { row, apiKey: made.apiKey } };
          },
          replay: async (keyId) => {
            const row = await read(keyId);
            return row === null ? null : { row, apiKey: null };
          },
        });
      });
      answerWith(reply, outcome);
      const { row, apiKey } = outcome.result;
      return { ...keyBody(row), api_key: apiKey, ...(apiKey === null && { secret_replayed: true }) };
    },
  });

  app.route({
    method: 'GET',
    url: KEY,
    config: { needs: 'account', contract: apiKeyContracts.read },
    handler: async (request) => {
      const ids = ownApplicationIds(request);
      const keyId = keyIdOf(request);
      return shown(await onKeysOf(ids, (sql) => readApiKey(sql, ids.applicationId, keyId)));
    },
  });

  app.route({
    method: 'PATCH',
    url: KEY,
    config: { needs: 'account', contract: apiKeyContracts.change },
    handler: async (request) => {
      const ids = ownApplicationIds(request);
      const keyId = keyIdOf(request);
      const body = parseBody(changeKeyBody, request);
      const row = await onLivingKeysOf(ids, async (sql, _application, events) => {
        await checkExpiry(sql, body.expires_at);
        const before = await lockApiKey(sql, ids.applicationId, keyId);
        const after = await changeApiKey(sql, ids.applicationId, keyId, {
          name: body.name,
          privileges: body.privileges,
          expiresAt: body.expires_at,
          allowedAddresses: body.allowed_addresses,
        });
        if (before === null || after === null) throw new Refusal('not_found');
        const change = { type: 'api_key.changed', applicationId: ids.applicationId, keyId } as const;
        events.record([{ ...change, before: stateOf(before), after: stateOf(after) }], actorOf(request));
        return after;
      });
      return keyBody(row);
    },
  });

  app.route({
    method: 'DELETE',
    url: KEY,
    config: { needs: 'account', contract: apiKeyContracts.revoke },
    handler: async (request, reply) => {
      const ids = ownApplicationIds(request);
      const keyId = keyIdOf(request);
      await onKeysOf(ids, async (sql, _application, events) => {
        const { applicationId } = ids;
        if (!(await revokeApiKey(sql, applicationId, keyId))) throw new Refusal('not_found');
        events.record([{ type: 'api_key.revoked', applicationId, keyId }], actorOf(request));
      });
      return reply.code(204).send();
    },
  });
}

function keyIdOf(request: FastifyRequest): string {
  const { key_id: keyId } = request.params as { readonly key_id?: string };
  if (keyId === undefined || !KEY_ID.test(keyId)) throw new Refusal('not_found');
  return keyId;
}

async function checkExpiry(sql: Transaction, expiresAt: string | null | undefined): Promise<void> {
  if (typeof expiresAt === 'string' && !(await isToCome(sql, expiresAt))) {
    throw invalidFields({ expires_at: ['Must be a time to come. To end a key now, delete it.'] });
  }
}

function shown(row: ApiKeyRow | null) {
  if (row === null) throw new Refusal('not_found');
  return keyBody(row);
}

/** What an owner sets of a key. */
function stateOf({ name, privileges, allowedAddresses, expiresAt }: ApiKeyRow): JsonObject {
  return { name, privileges: { ...privileges }, allowedAddresses: [...allowedAddresses], expiresAt };
}

function keyBody(row: ApiKeyRow) {
  return {
    key_id: row.keyId,
    name: row.name,
    last_four: row.lastFour,
    privileges: Object.fromEntries(RESOURCES.map((resource) => [resource, row.privileges[resource] ?? 'none'])),
    allowed_addresses: row.allowedAddresses.map(showNetwork),
    expires_at: row.expiresAt,
    created_at: row.createdAt,
    last_used_at: row.lastUsedAt,
    revoked_at: row.revokedAt,
  };
}
