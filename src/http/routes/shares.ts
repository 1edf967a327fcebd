import type { FastifyInstance } from 'fastify';
import {
  readShareToken,
  ShareTokenInvalid,
  signShareToken,
  SigningKeyRemoved,
  type ShareTokenClaims,
} from '../../crypto/share-token.ts';
import { Refusal } from '../../domain/failures.ts';
import type { JsonObject } from '../../domain/json.ts';
import { decisionOf } from '../../sharing/decision.ts';
import { mintShareToken, type MintedToken } from '../../sharing/mint.ts';
import type { HandoffTransaction } from '../../sharing/ports.ts';
import { redeemShareToken } from '../../sharing/redeem.ts';
import { importWithKeys } from '../../sharing/share-keys.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { answerWith, idempotencyKeyOf, oncePerKey } from '../idempotency.ts';
import { refuseFieldsOfSession } from '../own-session.ts';
import { checkBody, parseBody, pathId, type Parsed } from '../requests.ts';
import { importBody, mintBody, sharingContracts } from '../schemas/sharing.ts';

/** Didit's two share calls: mint a token, redeem a token. */
export function shareRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { tenants, shareTokenKeys: keys, style } = deps;
  const needs = { resource: 'sessions', access: 'write' } as const;

  app.route({
    method: 'POST',
    url: '/v3/session/:session_id/share/',
    config: { needs, judgesDeletion: true, contract: sharingContracts.mint },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const sessionId = pathId(request, 'session_id', 'session_not_found');
      const body = checkBody(mintBody, request);
      const outcome = await tenants.withTenant(
        applicationId,
        (tx, sql) =>
          oncePerKey<MintedToken>(request, sql, {
            run: async () => {
              if (!body.ok) throw await refuseFieldsOfSession(tx, applicationId, sessionId, body.refusal);
              const order = {
                issuerId: applicationId,
                sessionId,
                partnerId: body.value.for_application_id,
                ttlSeconds: body.value.ttl_in_seconds,
              };
              const token = await mintShareToken(tx, order, actorOf(request));
              return { status: 201, resourceId: token.tokenId, result: token };
            },
            replay: (tokenId) => mintedBefore(tx, tokenId),
          }),
        'mint',
      );
      const token = outcome.result;
      const shareToken = await signShareToken(keys, token.kid, claimsOf(token)).catch((error: unknown) => {
        if (!(error instanceof SigningKeyRemoved)) throw error;
        // A key that was removed since can't make its token again; one that was removed in this moment was not the last.
        throw new Refusal(outcome.replayed ? 'resource_deleted' : 'service_unavailable');
      });
      answerWith(reply, outcome);
      return {
        share_token: shareToken,
        for_application_id: token.partnerId,
        session_kind: token.sessionKind,
      };
    },
  });

  app.route({
    method: 'POST',
    url: '/v3/session/import-shared/',
    config: { needs, judgesDeletion: true, contract: sharingContracts.redeem },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const body = parseBody(importBody, request);
      const claims = await claimsIn(keys, body.share_token);
      // Without a key there is nothing to replay, and a bad token costs no look-up.
      if (!claims.ok && idempotencyKeyOf(request) === null) throw claims.refusal;
      const importOnce = () =>
        tenants.withTenant(
          applicationId,
          (tx, sql) =>
            oncePerKey<JsonObject>(request, sql, {
              run: async () => {
                if (!claims.ok) throw claims.refusal;
                const choice = {
                  ...(body.workflow_id !== undefined && { workflowId: body.workflow_id }),
                  ...(body.vendor_data !== undefined && { vendorData: body.vendor_data }),
                  ...(body.trust_review !== undefined && { trustReview: body.trust_review }),
                };
                const { kid, claims: said } = claims.value;
                const call = { tokenId: said.jti, kid, partnerId: applicationId, choice };
                const imported = await redeemShareToken(tx, call, actorOf(request), style);
                return { status: 201, resourceId: imported.sessionId, result: imported.decision };
              },
              replay: async (sessionId) => {
                const stored = await tx.sessions.readDecision(applicationId, sessionId);
                return stored === null ? null : decisionOf(stored, tx.sealer, style);
              },
            }),
          'redeem',
        );
      const outcome = await importWithKeys(importOnce, (work) => tenants.acrossTenants('onboarding', work));
      answerWith(reply, outcome);
      return outcome.result;
    },
  });

  async function mintedBefore(tx: HandoffTransaction, tokenId: string): Promise<MintedToken | null> {
    const token = (await tx.shares.look(tokenId))?.token ?? null;
    return token === null ? null : { tokenId, ...token };
  }
}

function claimsOf(token: MintedToken): ShareTokenClaims {
  return {
    session_id: token.sessionId,
    session_kind: token.sessionKind,
    from_application_id: token.issuerId,
    for_application_id: token.partnerId,
    iat: token.issuedAt,
    exp: token.expiresAt,
    jti: token.tokenId,
  };
}

async function claimsIn(
  keys: AppDeps['shareTokenKeys'],
  token: string,
): Promise<Parsed<Awaited<ReturnType<typeof readShareToken>>>> {
  try {
    return { ok: true, value: await readShareToken(keys, token) };
  } catch (error) {
    if (error instanceof ShareTokenInvalid) return { ok: false, refusal: new Refusal('share_token_invalid') };
    throw error;
  }
}
