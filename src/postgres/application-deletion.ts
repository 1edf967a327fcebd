import type { ApplicationStore } from '../sharing/ports.ts';
import { APPLICATION_LOCK } from './shares.ts';
import type { Transaction } from './tenants.ts';

/** SQL of an application's deletion. */
export function applicationStore(tx: Transaction): ApplicationStore {
  return {
    markDeleted: async (applicationId, organizationId) => {
      tx.send(`select pg_advisory_xact_lock(hashtextextended($1, ${APPLICATION_LOCK}))`, [applicationId]);
      const marked = await tx.query(
        `update application set deleted_at = handoff_now(), updated_at = handoff_now()
         where application_id = $1 and organization_id = $2 and deleted_at is null returning application_id`,
        [applicationId, organizationId],
      );
      return marked.length === 1;
    },
    openShares: async (applicationId) => {
      const rows = await tx.query<{ token_id: string }>(
        `select token_id from onboarding where (issuer_id = $1 or partner_id = $1) and ended_at is null
         union
         select t.token_id from share_token t
         where (t.issuer_id = $1 or t.partner_id = $1) and t.closed_at is null and t.expires_at > handoff_now()
           and not exists (select 1 from redemption r where r.token_id = t.token_id)
         order by token_id`,
        [applicationId],
      );
      return rows.map(({ token_id }) => token_id);
    },
  };
}
