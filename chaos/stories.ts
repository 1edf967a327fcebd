import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import type { Brand } from './brands.ts';
import { isSuccess, type Caller } from './caller.ts';
import { markedDocument } from './documents.ts';
import type { Call } from './ledger.ts';
import { importWish, OVERTAKEN } from './partner-acts.ts';
import type { Random } from './random.ts';

/** What one story is told with. */
export interface Scene {
  readonly caller: Caller;
  readonly random: Random;
  readonly brands: readonly Brand[];
}

/** One thing that clients do, from its beginning to its end. */
export type Story = (scene: Scene) => Promise<void>;

/** An issuer opens an onboarding; the partner simulator does the rest. Sometimes it is taken back, or loses its source. */
export const onboard: Story = async (scene) => {
  const { caller, random } = scene;
  const { issuer, partner } = pairOf(scene);
  const sessionId = await takeIn(scene, issuer);
  if (sessionId === null) return;
  const opened = await caller.insist({
    wish: 'onboard',
    as: issuer,
    method: 'POST',
    path: '/v1/onboardings/',
    body: { session_id: sessionId, for_application_id: partner.id, ttl_in_seconds: random.pick([60, 60, 90, 900]) },
  });
  const tokenId = idIn(opened, 'token_id');
  if (tokenId === null) return;
  const chance = random.next();
  if (chance < 0.3) await pause(random.between(0, 3_000));
  if (chance < 0.12) await revoke(caller, issuer, tokenId);
  else if (chance < 0.16) await remove(caller, issuer, sessionId);
  else if (chance < 0.4) {
    const reader = random.pick([issuer, partner]);
    await caller.insist({
      wish: 'read-onboarding',
      as: reader,
      method: 'GET',
      path: `/v1/onboardings/${tokenId}/`,
      tokenId,
    });
  }
};

/** An issuer mints a token, and the partner imports it by its own call, or by several at the same moment. */
export const share: Story = async (scene) => {
  const { caller, random, brands } = scene;
  const { issuer, partner } = pairOf(scene);
  const sessionId = await takeIn(scene, issuer);
  if (sessionId === null) return;
  const token = await mint(caller, issuer, partner, sessionId);
  if (token === null) return;
  if (random.next() < 0.05) await importByAnother(caller, brands, { issuer, partner }, token);
  if (random.next() < 0.05) await remove(caller, issuer, sessionId);
  const imported = await importTogether(scene, partner, token);
  const cloneId = imported.map((call) => idIn(call, 'session_id')).find((id) => id !== null);
  if (cloneId === undefined || cloneId === null) return;
  await caller.insist({ ...decisionWish(partner, cloneId), explained: ['session_not_found'] });
  if (random.next() < 0.1) {
    await remove(caller, partner, cloneId);
    const again = await mint(caller, issuer, partner, sessionId);
    if (again !== null) await caller.insist(importWish(partner, again));
  }
};

/** Somebody looks around: at lists of its own; now and then at a session of another brand, which is not there for it. */
export const look: Story = async (scene) => {
  const { caller, random, brands } = scene;
  if (random.next() < 0.3) return trespass(scene);
  const reader = random.pick(brands);
  const path = random.pick([
    '/v3/sessions/?limit=20',
    `/v3/sessions/?limit=20&offset=${random.between(0, 40)}`,
    '/v1/onboardings/?limit=20',
    '/v1/onboardings/?limit=10&role=partner',
    '/v1/audit/?limit=20',
  ]);
  await caller.insist({ wish: 'list', as: reader, method: 'GET', path });
};

/** As the ledger names a look at what is another's. It never succeeds. */
export const TRESPASS = 'trespass';

/** Somebody knows the id of a session that it was never given, and reads whatever there is of it. */
export const trespass: Story = async (scene) => {
  const { issuer: owner, partner: stranger } = pairOf(scene);
  const sessionId = await takeIn(scene, owner);
  if (sessionId === null) return;
  for (const path of [decisionWish(stranger, sessionId).path, `/v1/sessions/${sessionId}/provenance/`]) {
    const refused = { explained: ['session_not_found'] };
    await scene.caller.insist({ wish: TRESPASS, as: stranger, method: 'GET', path, ...refused });
  }
};

async function takeIn({ caller, random }: Scene, issuer: Brand): Promise<string | null> {
  const { document } = markedDocument(issuer, random);
  const taken = await caller.insist({
    wish: 'take-in',
    as: issuer,
    method: 'POST',
    path: '/v1/sessions/',
    body: document,
  });
  return idIn(taken, 'session_id');
}

interface Token {
  readonly tokenId: string;
  readonly shareToken: string;
}

async function mint(caller: Caller, issuer: Brand, partner: Brand, sessionId: string): Promise<Token | null> {
  const minted = await caller.insist({
    wish: 'mint',
    as: issuer,
    method: 'POST',
    path: `/v3/session/${sessionId}/share/`,
    body: { for_application_id: partner.id, ttl_in_seconds: 600 },
    explained: ['session_not_found'],
  });
  const shareToken = minted.body?.['share_token'];
  if (!isSuccess(minted) || typeof shareToken !== 'string') return null;
  return { tokenId: tokenIdOf(shareToken), shareToken };
}

/** One import; or several at once: each with a key of its own, all with the same one, or without any. */
async function importTogether({ caller, random }: Scene, partner: Brand, token: Token): Promise<Call[]> {
  const many = random.next() < 0.3 ? random.between(2, 5) : 1;
  const same = randomUUID();
  const way = random.pick(['own', 'same', 'none'] as const);
  const keyOf = { own: () => randomUUID(), same: () => same, none: () => null }[way];
  return Promise.all(Array.from({ length: many }, () => caller.insist(importWish(partner, token, keyOf()))));
}

/** Whoever is neither side gets hold of the token. */
async function importByAnother(
  caller: Caller,
  brands: readonly Brand[],
  { issuer, partner }: { readonly issuer: Brand; readonly partner: Brand },
  token: Token,
): Promise<void> {
  const thief = brands.find(({ id }) => id !== issuer.id && id !== partner.id);
  if (thief === undefined) return;
  await caller.insist({ ...importWish(thief, token), explained: ['share_token_not_for_this_application'] });
}

async function revoke(caller: Caller, issuer: Brand, tokenId: string): Promise<void> {
  const path = `/v1/onboardings/${tokenId}/revoke/`;
  await caller.insist({
    wish: 'revoke',
    as: issuer,
    method: 'POST',
    path,
    body: {},
    tokenId,
    explained: OVERTAKEN.word,
  });
}

async function remove(caller: Caller, owner: Brand, sessionId: string): Promise<void> {
  const path = `/v3/session/${sessionId}/delete/`;
  await caller.insist({ wish: 'delete', as: owner, method: 'DELETE', path, explained: ['session_not_found'] });
}

/** Reads a session as its owner does. */
export function decisionWish(as: Brand, sessionId: string) {
  return { wish: 'read-session', as, method: 'GET', path: `/v3/session/${sessionId}/decision/` } as const;
}

/** The token's id in the text of a share token: claim `jti`. */
export function tokenIdOf(shareToken: string): string {
  return String(decodeJwt(shareToken).jti);
}

function pairOf({ random, brands }: Scene): { readonly issuer: Brand; readonly partner: Brand } {
  const [issuer, partner] = random.shuffled(brands);
  if (issuer === undefined || partner === undefined) throw new Error('a share needs two brands');
  return { issuer, partner };
}

function idIn(call: Call, member: string): string | null {
  const id = call.body?.[member];
  return isSuccess(call) && typeof id === 'string' ? id : null;
}
