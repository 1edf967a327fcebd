import { setTimeout as pause } from 'node:timers/promises';
import type { JsonObject } from '../src/domain/json.ts';
import type { Brand } from './brands.ts';
import type { Caller, Wish } from './caller.ts';
import type { Random } from './random.ts';

/**
 * What a word on an onboarding, or an import, is refused with by somebody else's doing meanwhile: it ended, ran out, was
 * taken, or lost its source. Whether somebody did is asked in the end: `refusals.ts`.
 */
export const OVERTAKEN = {
  word: ['onboarding_ended', 'already_imported', 'source_session_gone'],
  import: [
    'already_imported',
    'share_token_expired',
    'share_token_revoked',
    'source_session_gone',
    // What an earlier try made was deleted since.
    'resource_deleted',
  ],
} as const;

/** A share that a partner was told of, and what it calls with. */
export interface ReceivedShare {
  readonly caller: Caller;
  readonly random: Random;
  readonly partner: Brand;
  /** Body of `share.received`. */
  readonly event: JsonObject;
}

/**
 * What the partner's backend does of a share: mostly it takes it, as its connection has it; sometimes twice at the same
 * moment, by both ways at once, late, or not at all, so that the token runs out.
 */
export async function takeShare({ caller, random, partner, event }: ReceivedShare): Promise<void> {
  const { acceptance, token_id: tokenId, share_token: shareToken } = event;
  if (acceptance === 'automatic' && shareToken === undefined) return;
  const token = { tokenId: String(tokenId), shareToken: String(shareToken) };
  const say = (accept: boolean) => caller.insist(acknowledgement(partner, token.tokenId, accept));
  const take = (key?: string | null) => caller.insist(importWish(partner, token, key));
  const chance = random.next();
  if (chance < 0.1) return;
  if (chance < 0.16) await pause(random.between(500, 8_000));
  if (chance > 0.94) {
    await say(false);
    return;
  }
  if (acceptance === 'acknowledge' && chance < 0.88) {
    // Two clients say the same at once, or one says it and the other imports.
    if (chance > 0.78) await Promise.all([say(true), chance > 0.83 ? take() : say(true)]);
    else await say(true);
    return;
  }
  await Promise.all(chance > 0.8 ? [take(), take()] : [take()]);
}

/** The partner's word on an onboarding. */
export function acknowledgement(as: Brand, tokenId: string, accept: boolean): Wish {
  return {
    wish: accept ? 'acknowledge' : 'decline',
    as,
    method: 'POST',
    path: `/v1/onboardings/${tokenId}/acknowledge/`,
    body: { accept },
    tokenId,
    explained: OVERTAKEN.word,
  };
}

/** The partner's own import. */
export function importWish(
  as: Brand,
  { tokenId, shareToken }: { readonly tokenId: string; readonly shareToken: string },
  key?: string | null,
): Wish {
  return {
    wish: 'import',
    as,
    method: 'POST',
    path: '/v3/session/import-shared/',
    body: { share_token: shareToken },
    ...(key !== undefined && { key }),
    tokenId,
    explained: OVERTAKEN.import,
  };
}
