import { codeOf } from './caller.ts';
import type { Call } from './ledger.ts';
import type { Stored, StoredToken } from './stored.ts';

/** Whether what is stored in the end bears a refusal out, as it must have stood when the answer came. */
type Ground = (call: Call, stored: Stored) => boolean;

/** Only what the calls of the load can be refused with, and no fault explains. */
const GROUNDS: Readonly<Record<string, Ground>> = {
  already_imported: (call, stored) => {
    const token = tokenOf(call, stored);
    const named = call.body?.['existing_session_id'];
    return (
      token !== undefined &&
      stored
        .redemptionsOf(token)
        .some(({ at, session }) => at <= endOf(call) && (typeof named !== 'string' || named === session))
    );
  },
  share_token_expired: (call, stored) => hasRunOut(call, tokenOf(call, stored)),
  share_token_revoked: (call, stored) => (tokenOf(call, stored)?.closedAt ?? Infinity) <= endOf(call),
  share_token_not_for_this_application: (call, stored) => {
    const token = tokenOf(call, stored);
    return token !== undefined && token.partner !== call.as;
  },
  source_session_gone: (call, stored) => {
    const token = tokenOf(call, stored);
    return token !== undefined && !stored.sessions.has(token.source);
  },
  resource_deleted: (call, stored) => {
    const made = stored.redemptions.get(call.tokenId ?? '');
    return made !== undefined && !stored.sessions.has(made.session);
  },
  onboarding_ended: (call, stored) => {
    const onboarding = stored.onboardings.get(call.tokenId ?? '');
    if (onboarding?.ended !== true) return false;
    const said = call.body?.['status'];
    // Of a token that has run out this is said before its ending is written.
    const ranOut = said === 'expired' && hasRunOut(call, tokenOf(call, stored)) && onboarding.status !== 'imported';
    return said === onboarding.status || ranOut;
  },
  session_not_found: (call, stored) => stored.sessions.get(sessionInPath(call)) !== call.as,
};

/** What is wrong with a refusal that a client got; null when its ground is there. */
export function refusalProblem(call: Call, stored: Stored): string | null {
  const code = codeOf(call);
  const ground = GROUNDS[code];
  if (ground === undefined || ground(call, stored)) return null;
  const about = call.tokenId === null ? call.path : `token ${call.tokenId}`;
  return `${call.wish} by ${call.as} was refused as ${code}, and nothing stored bears it out: ${about}`;
}

/** The session that a call's path names. */
export function sessionInPath({ path }: Pick<Call, 'path'>): string {
  return path.split('/')[3] ?? '';
}

const tokenOf = ({ tokenId }: Call, { tokens }: Stored): StoredToken | undefined => tokens.get(tokenId ?? '');
const endOf = ({ at, ms }: Call): number => at + ms;

function hasRunOut(call: Call, token: StoredToken | undefined): boolean {
  return token !== undefined && endOf(call) >= token.expiresAt;
}
