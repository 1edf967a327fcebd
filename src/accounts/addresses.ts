import type { BlindIndex, PayloadSealer, SealContext } from '../sharing/ports.ts';

/** Stands for the side of people and organizations where a seal or an index asks for an application. */
const ORGANIZATION_SIDE = '00000000-0000-0000-0000-000000000000';

/** What an address is found by without being readable; case makes no difference. */
export function addressIndex({ blindIndex }: { readonly blindIndex: BlindIndex }, email: string): Buffer {
  return blindIndex.term(ORGANIZATION_SIDE, 'email', email);
}

/** An account's address, as it is stored. */
export function sealAddress({ sealer }: { readonly sealer: PayloadSealer }, accountId: string, email: string): Buffer {
  return sealer.sealPayload(addressContext(accountId), email);
}

/** An account's stored address, in clear. */
export function openAddress({ sealer }: { readonly sealer: PayloadSealer }, accountId: string, sealed: Buffer): string {
  const email = sealer.openPayload(addressContext(accountId), sealed);
  if (typeof email !== 'string') throw new Error('a sealed address is a text');
  return email;
}

/** What an account's address is bound to. */
export function addressContext(accountId: string): SealContext {
  return { applicationId: ORGANIZATION_SIDE, sessionId: accountId, category: 'account_email', position: 0 };
}
