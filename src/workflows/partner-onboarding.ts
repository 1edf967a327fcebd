import {
  allHandlersFinished,
  CancellationScope,
  condition,
  defineQuery,
  defineSignal,
  isCancellation,
  patched,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { isMendable } from '../domain/failures.ts';
import type {
  Acceptance,
  CloseRequest,
  MintResult,
  OnboardingResult,
  OnboardingStatus,
  ShareAnswer,
} from '../domain/onboarding.ts';
import { ONBOARDING_STATUS_QUERY, SIGNALS } from '../domain/temporal-names.ts';
import type { TokenRef } from './activity-types.ts';
import { databaseStep, refusalCode } from './database-steps.ts';
import { resultOf, type OnboardingView } from './onboarding-result.ts';
import { HANDOFF_EXPIRES_AT, HANDOFF_STATUS } from './search-attributes.ts';
import { startDelivery, type TokenDelivery } from './token-delivery.ts';

/** The partner gave its word; the argument is the acknowledgement's id. */
export const partnerAcknowledged = defineSignal<[acknowledgementId: string]>(SIGNALS.partnerAcknowledged);
/** The partner imported by its own call; the argument is its new session's id. */
export const tokenRedeemed = defineSignal<[sessionId: string]>(SIGNALS.tokenRedeemed);
/** The issuer took the share back; the argument is the token's id. */
export const tokenRevoked = defineSignal<[tokenId: string]>(SIGNALS.tokenRevoked);
/** What the run itself believes. Our API answers from Postgres, where histories do not end. */
export const onboardingStatus = defineQuery<OnboardingView>(ONBOARDING_STATUS_QUERY);
export type { OnboardingView };

const WEEK_MS = 7 * 86_400_000;

/**
 * One handoff: mint → deliver → wait for the partner → import → notify. Its workflow id is the token id.
 * Every business ending completes the run. It follows the answer that Postgres gives, never the message that woke it.
 */
export async function PartnerOnboarding(ref: TokenRef): Promise<OnboardingResult> {
  // Somebody started it by hand, for no token or beside the token's own run: it has nothing to do with any.
  if (workflowInfo().workflowId !== ref?.tokenId) return { status: 'rejected', reason: 'unknown_onboarding' };
  const { tokenId } = ref;
  let status: OnboardingStatus = 'minting';
  // As the search attribute has it, from the start on.
  let shown: OnboardingStatus = 'minting';
  let acceptance: Acceptance | null = null;
  let expiresAt: string | null = null;
  let refusedWith: string | null = null;
  let delivery: TokenDelivery | undefined;
  // Messages only wake the run; what they mean, it asks.
  let messages = 0;
  let heeded = 0;
  let acknowledged = false;

  setHandler(partnerAcknowledged, () => {
    messages += 1;
    acknowledged = true;
  });
  setHandler(tokenRedeemed, () => void (messages += 1));
  setHandler(tokenRevoked, () => void (messages += 1));
  setHandler(onboardingStatus, () => ({ tokenId, status, expiresAt, acceptance, refusedWith }));

  try {
    enter('minting', 'Minting the share token');
    const result = await tell(await handOff());
    // Where the run itself sends the notice of an automatic import: it holds nothing up but the end, and that not for long.
    if (acceptance === 'automatic' && delivery !== undefined) {
      await condition(delivery.settled, '20s', { summary: 'the notice to the partner' });
      delivery.stop();
    }
    return result;
  } catch (error) {
    if (!isCancellation(error)) throw error;
    return CancellationScope.nonCancellable(async () => {
      const result = await tell(await close({ as: 'revoked', reason: 'cancelled' }));
      // Too late to cancel: the partner has it.
      if (result.status === 'imported') return result;
      throw error;
    });
  }

  async function handOff(): Promise<ShareAnswer> {
    const minted = await mint();
    if (minted.state === 'ended') return minted.answer;
    ({ acceptance, expiresAt } = minted);
    // An automatic import's notice goes out with its other events. Runs from before 2026-11-24 sent it themselves: see the
    // history imported-automatic.
    if (acceptance !== 'automatic' || !patched('notice-by-sender')) delivery = deliver(minted.remainingMs);
    const answer = await race(minted.remainingMs);
    // What is still being tried has no use any more.
    if (acceptance !== 'automatic') delivery?.stop();
    return answer;
  }

  async function mint(): Promise<MintResult> {
    try {
      const summary = 'Mint the share token';
      return await databaseStep('mintShareToken', { tokenId }, { summary, patienceMs: WEEK_MS });
    } catch (error) {
      const code = refusalCode(error);
      if (code === null) throw error;
      return { state: 'ended', answer: await close({ as: 'rejected', reason: code }) };
    }
  }

  /** From the mint on: delivery, the partner's word, its own import, the issuer's revocation and the expiry race. */
  async function race(remainingMs: number): Promise<ShareAnswer> {
    let answer: ShareAnswer = { state: 'open', remainingMs };
    for (;;) {
      if (answer.state === 'acknowledged') answer = await importSession(WEEK_MS);
      else if (answer.state !== 'open') return answer;
      else
        answer = acceptance === 'automatic' ? await importSession(answer.remainingMs) : await next(answer.remainingMs);
    }
  }

  /** Waits for whatever comes first, and asks how the token stands after it. */
  async function next(remainingMs: number): Promise<ShareAnswer> {
    const undeliverable = () => delivery?.undeliverable() ?? null;
    const woken = await condition(() => messages > heeded || undeliverable() !== null, remainingMs, {
      summary: 'until the share token expires',
    });
    heeded = messages;
    if (!woken) return close({ as: 'expired' });
    if (acknowledged) return importSession(WEEK_MS);
    const reason = undeliverable();
    return reason === null ? look(remainingMs) : close({ as: 'undeliverable', reason });
  }

  /** Imports if the partner's word (or the connection) allows it; answers how the token stands otherwise. */
  async function importSession(patienceMs: number): Promise<ShareAnswer> {
    acknowledged = false;
    heeded = messages;
    status = 'importing';
    setCurrentDetails('Importing the session into the partner’s workspace');
    const summary = 'Import the session, if the partner accepted it';
    let answer: ShareAnswer;
    try {
      answer = await databaseStep('importSharedSession', { tokenId }, { summary, patienceMs });
    } catch (error) {
      if (isCancellation(error)) throw error;
      const code = refusalCode(error);
      if (code !== null) return isMendable(code) ? waitAgain(code) : close({ as: 'rejected', reason: code });
      // Postgres was away until the expiry of an automatic share: only the close can answer now.
      if (acceptance === 'automatic') return close({ as: 'expired' });
      throw error;
    }
    if (answer.state === 'expired') return close({ as: 'expired' });
    if (answer.state === 'open') resume(answer.remainingMs);
    return answer;
  }

  /** The partner can mend what refused its import, as long as the token lives. */
  async function waitAgain(code: string): Promise<ShareAnswer> {
    refusedWith = code;
    const answer = await look(WEEK_MS, { as: 'rejected', reason: code });
    if (answer.state === 'open') resume(answer.remainingMs);
    return answer;
  }

  /** No import came of it: on with the story where it was, an automatic one by the partner's word from here on. */
  function resume(remainingMs: number): void {
    if (acceptance === 'automatic') {
      acceptance = 'acknowledge';
      delivery?.stop();
      delivery = deliver(remainingMs);
    } else if (delivery?.answered() === true) enterWaiting();
    else enter('delivering', 'Delivering the share token');
  }

  function deliver(lifetimeMs: number): TokenDelivery {
    const automatic = acceptance === 'automatic';
    enter('delivering', automatic ? 'Telling the partner of an automatic import' : 'Delivering the share token');
    return startDelivery({
      tokenId,
      lifetimeMs,
      summary: automatic ? 'Tell the partner (share.received, no token)' : 'Deliver the share token (share.received)',
      ...(automatic ? { attempts: 1 } : {}),
      onAnswered: () => {
        if (!automatic && status === 'delivering') enterWaiting();
      },
    });
  }

  function enterWaiting(): void {
    enter(
      'waiting',
      refusedWith === null ? 'Waiting for the partner' : `Import refused (${refusedWith}); waiting again`,
    );
  }

  /** Asks how the token stands; one that ran out is closed. */
  async function look(patienceMs: number, ifExpired: CloseRequest = { as: 'expired' }): Promise<ShareAnswer> {
    const summary = 'Ask how the token stands';
    try {
      const answer = await databaseStep('lookAtShareToken', { tokenId }, { summary, patienceMs });
      if (answer.state !== 'expired') return answer;
    } catch (error) {
      if (isCancellation(error) || refusalCode(error) !== null) throw error;
      // Postgres was away until the expiry: only the close can answer now, and it waits longer.
    }
    return close(ifExpired);
  }

  async function close(request: CloseRequest): Promise<ShareAnswer> {
    const summary = `Close the token (${request.as})`;
    try {
      return await databaseStep('closeShareToken', { tokenId, request }, { summary, patienceMs: WEEK_MS });
    } catch (error) {
      // Nothing to close: a run that somebody started without an onboarding.
      if (refusalCode(error) !== 'unknown_onboarding') throw error;
      return { state: 'closed', as: 'rejected', reason: 'unknown_onboarding' };
    }
  }

  /** Lets both sides know, and gives the run's result. */
  async function tell(answer: ShareAnswer): Promise<OnboardingResult> {
    const result = resultOf(answer);
    status = 'notifying';
    setCurrentDetails('Notifying both sides');
    if (result.reason !== 'unknown_onboarding') {
      await databaseStep('notifyParties', { tokenId }, { summary: `Notify (${result.status})`, patienceMs: WEEK_MS });
    }
    await condition(allHandlersFinished);
    enter(result.status, result.reason === null ? result.status : `${result.status}: ${result.reason}`);
    return result;
  }

  function enter(next: OnboardingStatus, details: string): void {
    // The expiry is news once, with the first step after the mint.
    const expiry =
      shown === 'minting' && expiresAt !== null ? [{ key: HANDOFF_EXPIRES_AT, value: new Date(expiresAt) }] : [];
    if (next !== shown) upsertSearchAttributes([{ key: HANDOFF_STATUS, value: next }, ...expiry]);
    shown = next;
    status = next;
    setCurrentDetails(details);
  }
}
