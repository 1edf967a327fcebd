import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import {
  addVerificationWorkflow,
  changeVerificationWorkflow,
  removeVerificationWorkflow,
  type WorkflowChange,
} from '../../accounts/verification-workflows.ts';
import { Refusal } from '../../domain/failures.ts';
import type { JsonObject } from '../../domain/json.ts';
import { DEFAULT_SETTINGS, type FeatureStep } from '../../domain/verification-workflow.ts';
import { listWorkflowVersions, readWorkflowVersion, type WorkflowRow } from '../../postgres/verification-workflows.ts';
import type { Change } from '../../sharing/ports.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { pageOf } from '../paging.ts';
import { parseBody, parseQuery, pathId } from '../requests.ts';
import {
  changeWorkflowBody,
  createWorkflowBody,
  workflowContracts,
  workflowsQuery,
} from '../schemas/verification-workflows.ts';

/** Verification workflows: Didit's routes (contract/didit-api.md 3.1). */
export function verificationWorkflowRoutes(app: FastifyInstance, { tenants, publicUrl }: AppDeps): void {
  const reads = { resource: 'workflows', access: 'read' } as const;
  const writes = { resource: 'workflows', access: 'write' } as const;

  app.route({
    method: 'GET',
    url: '/v3/workflows/',
    config: { needs: reads, contract: workflowContracts.list },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const page = parseQuery(workflowsQuery, request);
      const { count, rows } = await tenants.withTenant(applicationId, (_tx, sql) =>
        listWorkflowVersions(sql, applicationId, page),
      );
      return pageOf(request, page, { count, items: rows.map((row) => workflowItem(row, publicUrl)) });
    },
  });

  app.route({
    method: 'POST',
    url: '/v3/workflows/',
    config: { needs: writes, contract: workflowContracts.create },
    handler: async (request, reply) => {
      const caller = callerOf(request);
      const body = parseBody(createWorkflowBody, request);
      const outcome = await tenants.withTenant(caller.applicationId, (tx, sql) => {
        const read = (versionId: string) => readWorkflowVersion(sql, caller.applicationId, versionId);
        return oncePerKey<WorkflowRow>(request, sql, {
          run: async () => {
            const versionId = await addVerificationWorkflow(sql, caller, {
              ...changeOf(body),
              label: body.workflow_label,
              features: stepsOf(body.features),
            });
            const result = present(await read(versionId));
            tx.events.record([changeTo(caller, 'created', null, result)], actorOf(request));
            return { status: 201, resourceId: versionId, result };
          },
          replay: read,
        });
      });
      answerWith(reply, outcome);
      return workflowBody(outcome.result, publicUrl);
    },
  });

  app.route({
    method: 'GET',
    url: '/v3/workflows/:settings_uuid/',
    config: { needs: reads, contract: workflowContracts.read },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const versionId = pathId(request, 'settings_uuid', 'not_found');
      const row = await tenants.withTenant(applicationId, (_tx, sql) =>
        readWorkflowVersion(sql, applicationId, versionId),
      );
      if (row === null) throw new Refusal('not_found');
      return workflowBody(row, publicUrl);
    },
  });

  app.route({
    method: 'PATCH',
    url: '/v3/workflows/:settings_uuid/',
    config: { needs: writes, contract: workflowContracts.change },
    handler: async (request) => {
      const caller = callerOf(request);
      const versionId = pathId(request, 'settings_uuid', 'not_found');
      const body = parseBody(changeWorkflowBody, request);
      const row = await tenants.withTenant(caller.applicationId, async (tx, sql) => {
        const { before, changedId } = await changeVerificationWorkflow(sql, caller, versionId, changeOf(body));
        const after = present(await readWorkflowVersion(sql, caller.applicationId, changedId));
        const publishes = after.status === 'published' && (before.status === 'draft' || changedId !== versionId);
        tx.events.record([changeTo(caller, publishes ? 'published' : 'changed', before, after)], actorOf(request));
        return after;
      });
      return workflowBody(row, publicUrl);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/v3/workflows/:settings_uuid/',
    config: { needs: writes, contract: workflowContracts.delete },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const versionId = pathId(request, 'settings_uuid', 'not_found');
      await tenants.withTenant(applicationId, async (tx, sql) => {
        await removeVerificationWorkflow(sql, applicationId, versionId);
        const change = { type: 'verification_workflow.deleted', applicationId, subjectId: versionId } as const;
        tx.events.record([change], actorOf(request));
      });
      return reply.code(204).send();
    },
  });
}

type Body = z.output<typeof changeWorkflowBody>;

function changeOf(body: Body): WorkflowChange {
  const { workflow_label, is_default, status, features, ...settings } = body;
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return {
    label: workflow_label,
    isDefault: is_default,
    status,
    features: features === undefined ? undefined : stepsOf(features),
    settings: Object.fromEntries(given),
  };
}

function stepsOf(features: NonNullable<Body['features']>): FeatureStep[] {
  return features.map(({ feature, config, label }) => ({ feature, config: config as JsonObject, label }));
}

function changeTo(
  { applicationId }: { readonly applicationId: string },
  what: 'created' | 'changed' | 'published',
  before: WorkflowRow | null,
  after: WorkflowRow,
): Change {
  return {
    type: `verification_workflow.${what}`,
    applicationId,
    subjectId: after.versionId,
    before: before === null ? undefined : stateOf(before),
    after: stateOf(after),
  };
}

/** What an owner sets of a version. */
function stateOf({ label, status, isDefault, features, settings }: WorkflowRow): JsonObject {
  return { label, status, isDefault, features: features.map((step) => ({ ...step })), settings: { ...settings } };
}

function present(row: WorkflowRow | null): WorkflowRow {
  if (row === null) throw new Error('a verification workflow that was written is there');
  return row;
}

function workflowItem(row: WorkflowRow, publicUrl: string) {
  const settings = { ...DEFAULT_SETTINGS, ...row.settings };
  return {
    uuid: row.versionId,
    workflow_id: row.workflowId,
    workflow_label: row.label,
    workflow_type: row.kind === 'business' ? 'kyb' : 'kyc',
    is_default: row.isDefault,
    is_archived: false,
    is_white_label_enabled: settings.is_white_label_enabled,
    // Nothing is charged here.
    total_price: 0,
    min_price: 0,
    max_price: 0,
    features: row.features.map(({ feature }) => feature).join(' + '),
    is_simple_workflow: true,
    is_editable: true,
    workflow_url: `${publicUrl}/v3/workflows/${row.versionId}/`,
    max_retry_attempts: settings.max_retry_attempts,
    retry_window_days: settings.retry_window_days,
    session_expiration_time: settings.session_expiration_time,
    version: row.version,
    status: row.status,
    has_draft: row.hasDraft,
    created_by: row.createdBy === null ? null : { name: row.createdBy, email: null, type: 'api_key' },
    updated_at: row.updatedAt,
  };
}

function workflowBody(row: WorkflowRow, publicUrl: string) {
  const { is_desktop_allowed, face_liveness_max_attempts, face_match_max_attempts } = {
    ...DEFAULT_SETTINGS,
    ...row.settings,
  };
  return {
    ...workflowItem(row, publicUrl),
    feature_configs: row.features,
    is_desktop_allowed,
    face_liveness_max_attempts,
    face_match_max_attempts,
    created_at: row.createdAt,
    published_at: row.publishedAt,
  };
}
