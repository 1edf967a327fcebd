import type { Operation } from '../../src/postgres/isolation/roles.ts';

/** A kind of transaction: its role, and a statement that it alone makes, white space as one blank. */
export interface Change {
  readonly operation: Operation;
  readonly statement: RegExp;
}

/** The transactions that a process may be killed around, by the names that crash points have. */
export const CHANGES = {
  'take-in': { operation: 'tenant', statement: /insert into session \(/ },
  mint: { operation: 'mint', statement: /insert into share_token / },
  open: { operation: 'mint', statement: /insert into onboarding \(/ },
  acknowledge: { operation: 'onboarding', statement: /insert into acknowledgement / },
  close: { operation: 'onboarding', statement: /update share_token set closed_at/ },
  import: { operation: 'redeem', statement: /insert into redemption / },
  delete: { operation: 'tenant', statement: /delete from session where/ },
  dispatch: { operation: 'carry_out', statement: /insert into delivery \(/ },
  'forget-wish': { operation: 'carry_out', statement: /^delete from outbox/ },
  'mint-step': { operation: 'onboarding', statement: /insert into share_token / },
  notify: { operation: 'relay', statement: /insert into delivery \(/ },
  'claim-wishes': { operation: 'relay', statement: /^update outbox set attempts/ },
  seal: { operation: 'relay', statement: /insert into audit_chain / },
  anchor: { operation: 'relay', statement: /insert into audit_anchor / },
  'claim-delivery': { operation: 'delivery', statement: /insert into delivery_attempt / },
  'record-attempt': { operation: 'delivery', statement: /^update delivery_attempt a set state = case/ },
} as const satisfies Readonly<Record<string, Change>>;
