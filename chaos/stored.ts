import { readRows } from './oracle-reading.ts';
import type { Rig } from './rig.ts';

/** A token's row. Times in milliseconds since 1970. */
export interface StoredToken {
  readonly source: string;
  readonly issuer: string;
  readonly partner: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly closedAt: number | null;
}

/** What came of a token. */
export interface StoredRedemption {
  readonly tokenId: string;
  readonly source: string;
  readonly partner: string;
  /** The new session, which may have been deleted since. */
  readonly session: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** An onboarding's row. */
export interface StoredOnboarding {
  readonly source: string;
  readonly partner: string;
  /** Null when it ended before its mint. */
  readonly acceptance: string | null;
  readonly status: string;
  readonly reason: string | null;
  readonly imported: string | null;
  readonly ended: boolean;
}

/** What the database says in the end; what clients were told is held against it. */
export interface Stored {
  /** Owner of each session that is there. */
  readonly sessions: ReadonlyMap<string, string>;
  readonly tokens: ReadonlyMap<string, StoredToken>;
  /** By token. */
  readonly redemptions: ReadonlyMap<string, StoredRedemption>;
  /** By token. */
  readonly onboardings: ReadonlyMap<string, StoredOnboarding>;
  /** Every redemption of a source by a partner, by whichever token. */
  redemptionsOf(share: { readonly source: string; readonly partner: string }): readonly StoredRedemption[];
}

const ms = (column: string) => `floor(extract(epoch from ${column}) * 1000)::float8`;

/** Reads all of it. */
export async function readStored(rig: Pick<Rig, 'postgres'>): Promise<Stored> {
  const byId = async <Row extends object>(sql: string) =>
    new Map((await readRows<{ id: string } & Row>(rig, sql)).map(({ id, ...row }) => [id, row as unknown as Row]));
  const sessions = await byId<{ owner: string }>('select session_id as id, application_id as owner from session');
  const redemptions = await byId<StoredRedemption>(
    `select token_id as id, token_id as "tokenId", source_session_id as source, partner_id as partner,
       session_id as session, ${ms('redeemed_at')} as at
     from redemption`,
  );
  const pairs = Map.groupBy(redemptions.values(), pairOf);
  return {
    sessions: new Map([...sessions].map(([id, { owner }]) => [id, owner])),
    tokens: await byId<StoredToken>(
      `select token_id as id, session_id as source, issuer_id as issuer, partner_id as partner,
         ${ms('issued_at')} as "issuedAt", ${ms('expires_at')} as "expiresAt", ${ms('closed_at')} as "closedAt"
       from share_token`,
    ),
    redemptions,
    onboardings: await byId<StoredOnboarding>(
      `select token_id as id, session_id as source, partner_id as partner, acceptance, status, reason,
         imported_session_id as imported, ended_at is not null as ended
       from onboarding`,
    ),
    redemptionsOf: (share) => pairs.get(pairOf(share)) ?? [],
  };
}

function pairOf({ source, partner }: { readonly source: string; readonly partner: string }): string {
  return `${source} ${partner}`;
}
