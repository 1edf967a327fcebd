import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { SessionKind } from '../../domain/decision-categories.ts';
import type { EntityChange, EntityStatus } from '../../domain/entity.ts';
import { invalidFields, Refusal } from '../../domain/failures.ts';
import type { JsonObject } from '../../domain/json.ts';
import { deleteEntities, entityStore, insertEntity, type EntitySelection } from '../../postgres/entities.ts';
import {
  listEntities,
  readComments,
  readEntity,
  readEntityById,
  type EntityCommentRow,
  type EntityRow,
} from '../../postgres/entity-reads.ts';
import type { Transaction } from '../../postgres/tenants.ts';
import { changeEntity } from '../../sharing/change-entity.ts';
import type { DecisionStyle } from '../../sharing/decision.ts';
import type { EntityKey, PayloadSealer } from '../../sharing/ports.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { businessBodyOf, businessItemOf, userBodyOf, userItemOf } from '../entity-bodies.ts';
import { answerWith, oncePerKey, oncePerKeyInBatches } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery } from '../requests.ts';
import {
  businessContracts,
  changeBusinessBody,
  changeUserBody,
  createBusinessBody,
  createUserBody,
  deleteEntitiesBody,
  entitiesQuery,
  updateStatusBody,
  userContracts,
} from '../schemas/entities.ts';

interface Kind {
  readonly kind: SessionKind;
  readonly resource: 'users' | 'businesses';
  readonly contracts: typeof userContracts | typeof businessContracts;
  readonly createBody: z.ZodType<Said & { vendor_data?: string | null | undefined }>;
  readonly changeBody: z.ZodType<Said>;
  readonly item: (row: EntityRow, style: DecisionStyle) => object;
  readonly body: (row: EntityRow, style: DecisionStyle, comments: readonly EntityCommentRow[]) => object;
  readonly taken: string;
  readonly nothingSelected: string;
}

/** What a body says of an entity: its status, its metadata, and members of its profile. */
interface Said {
  readonly status?: EntityStatus | undefined;
  readonly metadata?: Record<string, unknown> | undefined;
}

const USERS: Kind = {
  kind: 'user',
  resource: 'users',
  contracts: userContracts,
  createBody: createUserBody,
  changeBody: changeUserBody,
  item: userItemOf,
  body: userBodyOf,
  taken: 'A user with this vendor_data already exists.',
  nothingSelected: 'Provide vendor_data_list or set delete_all=true.',
};
const BUSINESSES: Kind = {
  kind: 'business',
  resource: 'businesses',
  contracts: businessContracts,
  createBody: createBusinessBody,
  changeBody: changeBusinessBody,
  item: businessItemOf,
  body: businessBodyOf,
  taken: 'A business with this vendor_data already exists.',
  nothingSelected: 'Provide vendor_data_list, didit_internal_id_list, or set delete_all=true.',
};

/** Each batch is one transaction, so that imports never wait long for a deletion of everything. */
const DELETE_BATCH = 1000;

/** Users and businesses: Didit's routes (contract/didit-api.md 3.2 and 3.3). */
export function entityRoutes(app: FastifyInstance, deps: AppDeps): void {
  for (const kind of [USERS, BUSINESSES]) routesOf(app, deps, kind);
}

function routesOf(app: FastifyInstance, { tenants, style }: AppDeps, sort: Kind): void {
  const { kind, resource, contracts } = sort;
  const reads = { resource, access: 'read' } as const;
  const writes = { resource, access: 'write' } as const;
  const root = `/v3/${resource}/`;

  app.route({
    method: 'GET',
    url: root,
    config: { needs: reads, contract: contracts.list },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const page = parseQuery(entitiesQuery, request);
      const { count, rows } = await tenants.withTenant(applicationId, (tx, sql) =>
        listEntities(sql, tx.sealer, applicationId, kind, page),
      );
      return pageOf(request, page, { count, items: rows.map((row) => sort.item(row, style)) });
    },
  });

  app.route({
    method: 'POST',
    url: `${root}create/`,
    config: { needs: writes, contract: contracts.create },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const { vendor_data: vendorData = null, ...said } = parseBody(sort.createBody, request);
      const { status = 'ACTIVE', metadata = {}, profile = {} } = changeOf(said);
      const outcome = await tenants.withTenant(applicationId, (tx, sql) => {
        const replay = (entityId: string) => readEntityById(sql, tx.sealer, { applicationId, kind }, entityId);
        return oncePerKey<EntityRow>(request, sql, {
          run: async () => {
            const key = { applicationId, kind, vendorData };
            const entityId = await insertEntity(sql, tx.sealer, key, { status, metadata, profile });
            if (entityId === null) throw invalidFields({ vendor_data: [sort.taken] });
            const type = `${kind}.created` as const;
            const after = { status, metadata, profile };
            tx.events.record([{ type, applicationId, subjectId: entityId, after }], actorOf(request));
            const row = await replay(entityId);
            if (row === null) throw new Error('an entity that was written is there');
            return { status: 201, resourceId: entityId, result: row };
          },
          replay,
        });
      });
      answerWith(reply, outcome);
      return sort.body(outcome.result, style, []);
    },
  });

  app.route({
    method: 'GET',
    url: `${root}:vendor_data/`,
    config: { needs: reads, contract: contracts.read },
    handler: async (request) => {
      const key = keyOf(request, kind);
      return tenants.withTenant(key.applicationId, async (tx, sql) =>
        bodyOf(sql, tx.sealer, key.applicationId, await readEntity(sql, tx.sealer, key)),
      );
    },
  });

  app.route({
    method: 'PATCH',
    url: `${root}:vendor_data/`,
    config: { needs: writes, contract: contracts.change },
    handler: async (request) => change(request, changeOf(parseBody(sort.changeBody, request))),
  });

  app.route({
    method: 'PATCH',
    url: `${root}:vendor_data/update-status/`,
    config: { needs: writes, contract: contracts.updateStatus },
    handler: async (request) => change(request, parseBody(updateStatusBody, request)),
  });

  app.route({
    method: 'POST',
    url: `${root}delete/`,
    config: { needs: writes, contract: contracts.delete },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const selection = selectionOf(parseBody(deleteEntitiesBody, request), sort);
      const outcome = await oncePerKeyInBatches<number>(request, (batch) => tenants.withTenant(applicationId, batch), {
        nothing: 0,
        run: async (earlier, tx, sql) => {
          const gone = await deleteEntities(sql, applicationId, kind, selection, DELETE_BATCH);
          const type = `${kind}.deleted` as const;
          tx.events.record(
            gone.map((subjectId) => ({ type, applicationId, subjectId })),
            actorOf(request),
          );
          const deleted = earlier + gone.length;
          // A deletion leaves nothing that its answer could be rendered from but a number.
          return {
            status: 200,
            resourceId: String(deleted),
            result: deleted,
            unfinished: gone.length === DELETE_BATCH,
          };
        },
        replay: async (deleted) => Number(deleted),
      });
      answerWith(reply, outcome);
      return { deleted: outcome.result };
    },
  });

  async function change(request: FastifyRequest, said: EntityChange): Promise<object> {
    const key = keyOf(request, kind);
    return tenants.withTenant(key.applicationId, async (tx, sql) => {
      const entityId = await changeEntity(tx, entityStore(sql, tx.sealer), key, said, actorOf(request));
      return bodyOf(sql, tx.sealer, key.applicationId, await readEntityById(sql, tx.sealer, key, entityId));
    });
  }

  async function bodyOf(
    sql: Transaction,
    sealer: PayloadSealer,
    applicationId: string,
    row: EntityRow | null,
  ): Promise<object> {
    if (row === null) throw new Refusal('not_found');
    const comments = kind === 'user' ? await readComments(sql, sealer, applicationId, row.entityId) : [];
    return sort.body(row, style, comments);
  }
}

/** @throws {Refusal} `not_found` for a name that no text in the database can have */
function keyOf(request: FastifyRequest, kind: SessionKind): EntityKey {
  const { vendor_data: name = '' } = request.params as { vendor_data?: string };
  if (name.includes('\0')) throw new Refusal('not_found');
  return { applicationId: callerOf(request).applicationId, kind, name };
}

function changeOf({ status, metadata, ...profile }: Said): EntityChange {
  const said = Object.entries(profile).filter(([, value]) => value !== undefined);
  return {
    status,
    metadata: metadata as JsonObject | undefined,
    profile: Object.fromEntries(said) as JsonObject,
  };
}

function selectionOf(body: z.output<typeof deleteEntitiesBody>, { nothingSelected }: Kind): EntitySelection {
  const { delete_all, vendor_data_list: names = [], didit_internal_id_list: ids = [] } = body;
  if (delete_all === true) return { by: 'all' };
  if (names.length > 0) return { by: 'vendor_data', names };
  if (ids.length > 0) return { by: 'id', ids };
  throw invalidFields({ detail: [nothingSelected] });
}
