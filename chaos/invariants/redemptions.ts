import { readRows } from '../oracle-reading.ts';
import type { Rig } from '../rig.ts';
import type { Stored, StoredRedemption } from '../stored.ts';

/** To whom each import was told, as `token application`. */
const TOLD = `
  select token_id || ' ' || application_id as told from event where type = 'share.imported' and token_id is not null`;

/**
 * What is wrong with imports, whoever made them: the new session is the partner's, the onboarding names the same one, and
 * those are told who are to know of it.
 *
 * @param gone sessions that somebody asked to delete
 */
export async function redemptionProblems(
  rig: Pick<Rig, 'postgres'>,
  stored: Stored,
  gone: ReadonlyMap<string, boolean>,
): Promise<string[]> {
  const told = new Set((await readRows<{ told: string }>(rig, TOLD)).map((row) => row.told));
  return [...stored.redemptions.values()].flatMap((redemption) => [
    ...sessionProblem(redemption, stored, gone),
    ...sidesToTell(redemption, stored)
      .filter((side) => !told.has(`${redemption.tokenId} ${side}`))
      .map((side) => `the import by token ${redemption.tokenId} was never told to ${side}`),
  ]);
}

function sessionProblem(
  { tokenId, partner, session }: StoredRedemption,
  { sessions, onboardings }: Stored,
  gone: ReadonlyMap<string, boolean>,
): string[] {
  const owner = sessions.get(session);
  const isThere = owner === partner || (owner === undefined && gone.has(session));
  const onboarding = onboardings.get(tokenId);
  const named = onboarding === undefined ? session : onboarding.imported;
  return [
    ...(isThere ? [] : [`token ${tokenId} made session ${session} of ${partner}; stored is ${owner ?? 'none'}`]),
    ...(named === session ? [] : [`token ${tokenId} made session ${session}; its onboarding names ${String(named)}`]),
  ];
}

/** The issuer; and the partner where it was told of the share, which is what an onboarding does. */
function sidesToTell({ tokenId, partner }: StoredRedemption, { tokens, onboardings }: Stored): string[] {
  const token = tokens.get(tokenId);
  if (token === undefined) return [];
  return onboardings.has(tokenId) ? [token.issuer, partner] : [token.issuer];
}
