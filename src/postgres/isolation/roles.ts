// Being narrowed: how tables are added stands in `tables.ts`. Until then each role may do everything.
import { TABLES, UNPOLICED, type Rows } from './tables.ts';

/** Table → its privileges, as GRANT takes them. */
export type Grants = Readonly<Record<string, string>>;

/** What one operation may do. */
export interface RoleListing {
  /** What it is for. */
  readonly does: string;
  /** It has all that the role of tenants has too, for the rows of the tenant that the transaction names. */
  readonly asTenant?: true;
  readonly grants: Grants;
  /**
   * Rows that it reaches by policies of its own. A table that is missing here is open as a whole to an operation that is
   * no tenant's, and as the tenant's rows alone to one that is.
   */
  readonly rows?: Readonly<Record<string, Rows>>;
}

const EVERYTHING: Grants = Object.fromEntries(
  [...Object.keys(TABLES), ...Object.keys(UNPOLICED), 'session_person_found'].map((table) => [
    table,
    'select, insert, update, delete',
  ]),
);

/** Each group role without its prefix: `handoff_tenant` for every tenant, the others for operations that cross tenants. */
export const ROLES = {
  tenant: { does: 'one tenant’s own rows', grants: EVERYTHING, rows: Object.fromEntries(Object.keys(TABLES).map((t) => [t, 'true'])) },
  authenticate: { does: 'finds who calls', grants: EVERYTHING },
  mint: { does: 'mints', grants: EVERYTHING },
  redeem: { does: 'redeems', grants: EVERYTHING },
  onboarding: { does: 'runs', grants: EVERYTHING },
  connection: { does: 'connects', grants: EVERYTHING },
  delivery: { does: 'delivers', grants: EVERYTHING },
  carry_out: { does: 'carries out', grants: EVERYTHING },
  relay: { does: 'relays', grants: EVERYTHING },
  provision: { does: 'provisions', grants: EVERYTHING },
  account: { does: 'accounts', grants: EVERYTHING },
  ingest: { does: 'ingests', grants: EVERYTHING },
  media: { does: 'media', grants: EVERYTHING },
  session_import: { does: 'imports', grants: EVERYTHING },
  audit: {
    does: 'reads the line of a session, with the names of applications that the reader is connected with',
    asTenant: true,
    grants: {},
    rows: {
      application: {
        select: `exists (select 1 from connection n
          where application.application_id in (n.issuer_id, n.partner_id) and handoff_tenant() in (n.issuer_id, n.partner_id))`,
      },
    },
  },
  rate_limit: { does: 'limits', grants: EVERYTHING },
  health: { does: 'health', grants: EVERYTHING },
  signing_keys: { does: 'signing keys', grants: EVERYTHING },
  keys: { does: 'keys', grants: EVERYTHING },
  secrets: { does: 'secrets', grants: EVERYTHING },
  reveal_secret: { does: 'reveals', grants: EVERYTHING },
  verify: { does: 'verifies', grants: EVERYTHING },
  codec: { does: 'codec', grants: EVERYTHING },
} satisfies Readonly<Record<string, RoleListing>>;

/** Logins of processes, and the operations that each may take on. */
export const LOGINS: Readonly<Record<string, readonly (keyof typeof ROLES)[]>> = {
  handoff_server: Object.keys(ROLES) as (keyof typeof ROLES)[],
  handoff_webhooks: Object.keys(ROLES) as (keyof typeof ROLES)[],
  handoff_worker: Object.keys(ROLES) as (keyof typeof ROLES)[],
};
