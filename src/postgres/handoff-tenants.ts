import type { BlindIndex, ContentSealer, HandoffTransaction } from '../sharing/ports.ts';
import { handoffTransaction } from './handoff-transaction.ts';
import type { Crossing, Tenants, Transaction } from './tenants.ts';

/** One transaction twice: `tx` for the verbs of `sharing/`, `sql` for reads and rows that have no rule of their own. */
export type Work<T> = (tx: HandoffTransaction, sql: Transaction) => Promise<T>;

/** {@link Tenants}, with every transaction ready for the verbs. */
export interface HandoffTenants {
  /** What all transactions seal and open with, for what is sealed ahead of one. */
  readonly sealer: ContentSealer;
  withTenant<T>(applicationId: string, work: Work<T>, crossing?: Crossing): Promise<T>;
  acrossTenants<T>(crossing: Crossing, work: Work<T>): Promise<T>;
}

/** Binds the verbs' stores to each transaction. */
export function handoffTenants(tenants: Tenants, sealer: ContentSealer, blindIndex: BlindIndex): HandoffTenants {
  return {
    sealer,
    withTenant: (applicationId, work, crossing) =>
      tenants.withTenant(applicationId, (sql) => work(handoffTransaction(sql, sealer, blindIndex), sql), crossing),
    acrossTenants: (crossing, work) =>
      tenants.acrossTenants(crossing, (sql) => work(handoffTransaction(sql, sealer, blindIndex), sql)),
  };
}
