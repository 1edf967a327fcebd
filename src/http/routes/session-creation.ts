import type { FastifyInstance, FastifyRequest } from 'fastify';
import { hostedTokenDigest, newHostedToken } from '../../crypto/hosted-token.ts';
import { CHECK_CATEGORIES } from '../../domain/decision-categories.ts';
import { Refusal } from '../../domain/failures.ts';
import type { HostedSettings } from '../../domain/hosted-session.ts';
import { SANDBOX_SCENARIOS } from '../../domain/sandbox/scenarios.ts';
import { renderStatus } from '../../domain/session-status.ts';
import { storeSandboxFiles } from '../../media/sandbox-files.ts';
import { readDataKey } from '../../postgres/data-keys.ts';
import { newId } from '../../postgres/new-id.ts';
import { findHostedSession, sessionLifeStore } from '../../postgres/session-life.ts';
import { findVerificationWorkflow } from '../../postgres/verification-workflows.ts';
import { armSession } from '../../sharing/arm-session.ts';
import { createSession, type SessionOrder } from '../../sharing/create-session.ts';
import type { PayloadSealer, SessionRow, StoredDecision } from '../../sharing/ports.ts';
import type { SandboxFiles } from '../../sharing/simulate.ts';
import { homeContext } from '../../sharing/store-content.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { parseBody, pathId } from '../requests.ts';
import { LANGUAGES } from '../schemas/languages.ts';
import { armBody, createSessionBody, NO_FLOW, sessionCreationContracts } from '../schemas/session-creation.ts';

// A portrait of 2 MB in base64, and the rest.
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Creating sessions, and simulating them in the sandbox. */
export function sessionCreationRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { tenants, style } = deps;

  app.route({
    method: 'POST',
    url: '/v3/session/',
    config: { needs: { resource: 'sessions', access: 'write' }, contract: sessionCreationContracts.create },
    bodyLimit: MAX_BODY_BYTES,
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const body = parseBody(createSessionBody, request);
      const order: SessionOrder = {
        applicationId,
        workflowId: body.workflow_id,
        vendorData: body.vendor_data ?? null,
        callback: body.callback ?? null,
        metadata: body.metadata ?? null,
        expectedDetails: body.expected_details ?? null,
        contactDetails: body.contact_details ?? null,
        scenario: body.sandbox_scenario ?? null,
      };
      const tools = {
        newFlow: () => newFlow(deps.publicUrl, body.language ?? null),
        files: order.scenario === null ? null : await filesOfNewSession(deps, order),
        style,
      };
      const { sealer, outcome } = await tenants.withTenant(applicationId, async (tx, sql) => {
        const read = (sessionId: string) => tx.sessions.readDecision(applicationId, sessionId);
        const once = await oncePerKey<StoredDecision>(request, sql, {
          run: async () => {
            const sessionId = await createSession(tx, sessionLifeStore(sql), order, actorOf(request), tools);
            const result = await read(sessionId);
            if (result === null) throw new Error('a session that was created is there');
            return { status: 201, resourceId: sessionId, result };
          },
          replay: read,
        });
        return { sealer: tx.sealer, outcome: once };
      });
      answerWith(reply, outcome);
      const { session } = outcome.result;
      const settings = settingsOf(outcome.result, sealer);
      return {
        session_id: session.sessionId,
        session_number: session.number,
        session_kind: session.kind,
        session_token: settings.session_token,
        url: settings.session_url,
        vendor_data: session.vendorData,
        metadata: settings.metadata,
        status: renderStatus(session.kind, session.status, style.businessStatusCase),
        workflow_id: session.workflowId,
        workflow_version: session.workflowVersion,
        callback: settings.callback,
      };
    },
  });

  app.route({
    method: 'POST',
    url: '/v3/session/:session_id/sandbox/arm/',
    config: { needs: 'public', contract: sessionCreationContracts.arm },
    handler: async (request, reply) => {
      const sessionId = pathId(request, 'session_id', 'session_not_found');
      const proven = await provenByToken(deps, request, sessionId);
      const { applicationId } = proven;
      const { scenario } = parseBody(armBody, request);
      const key = await tenants.withTenant(applicationId, (_tx, sql) => readDataKey(sql, applicationId, sessionId));
      if (key === null) throw new Refusal('session_not_found');
      const tools = { files: await storeSandboxFiles(deps, { ...proven, key }, proven.kind), style };
      const outcome = await tenants.withTenant(applicationId, (tx, sql) =>
        oncePerKey<SessionRow>(request, sql, {
          run: async () => {
            const call = { applicationId, sessionId, scenario };
            const session = await armSession(tx, sessionLifeStore(sql), call, actorOf(request), tools);
            return { status: 200, resourceId: sessionId, result: session };
          },
          replay: async () => (await tx.sessions.readDecision(applicationId, sessionId))?.session ?? null,
        }),
      );
      answerWith(reply, outcome);
      const { kind, status } = outcome.result;
      return {
        session_id: sessionId,
        scenario: scenario.slug,
        status: renderStatus(kind, status, style.businessStatusCase),
      };
    },
  });

  app.route({
    method: 'GET',
    url: '/session/:session_token/',
    config: { needs: 'public', contract: sessionCreationContracts.flow },
    handler: () => ({ detail: NO_FLOW }),
  });

  app.route({
    method: 'GET',
    url: '/:language/session/:session_token/',
    config: { needs: 'public', contract: sessionCreationContracts.flowInLanguage },
    handler: (request) => {
      const { language = '' } = request.params as Readonly<Record<string, string>>;
      if (!LANGUAGES.includes(language)) throw new Refusal('not_found');
      return { detail: NO_FLOW };
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/sandbox/scenarios/',
    config: { needs: { resource: 'sessions', access: 'read' }, contract: sessionCreationContracts.scenarios },
    handler: () => ({
      scenarios: SANDBOX_SCENARIOS.map((scenario) => ({ ...scenario, session_kinds: Object.keys(CHECK_CATEGORIES) })),
    }),
  });
}

function newFlow(publicUrl: string, language: string | null): { token: string; sha256: Buffer; url: string } {
  const { text, sha256 } = newHostedToken();
  return { token: text, sha256, url: `${publicUrl}/${language === null ? '' : `${language}/`}session/${text}` };
}

async function filesOfNewSession(deps: AppDeps, { applicationId, workflowId }: SessionOrder): Promise<SandboxFiles> {
  const session = { applicationId, sessionId: newId() };
  const workflow = await deps.tenants.withTenant(applicationId, (_tx, sql) =>
    findVerificationWorkflow(sql, applicationId, workflowId),
  );
  // Without a workflow the creation is refused.
  const key = deps.tenants.sealer.newDataKey(session);
  return storeSandboxFiles(deps, { ...session, key }, workflow?.kind ?? 'user');
}

/** @throws {Refusal} `authentication_failed` unless the `Session-Token` is this session's */
async function provenByToken({ tenants }: AppDeps, request: FastifyRequest, sessionId: string) {
  const token = request.headers['session-token'];
  const found =
    typeof token === 'string'
      ? await tenants.acrossTenants('authenticate', (_tx, sql) => findHostedSession(sql, hostedTokenDigest(token)))
      : null;
  if (found?.sessionId !== sessionId) throw new Refusal('authentication_failed');
  return found;
}

function settingsOf({ session, home }: StoredDecision, sealer: PayloadSealer): HostedSettings {
  const row = home.find(({ category }) => category === '');
  if (row === undefined) throw new Error('a hosted session has settings');
  return sealer.openPayload(homeContext(session, '', 0), row.payload) as unknown as HostedSettings;
}
