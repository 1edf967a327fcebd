import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Client, type QueryResultRow } from 'pg';
import { afterAll, beforeAll, expect } from 'vitest';
import { createApiKey, createApplication, createVerificationWorkflow } from '../../src/accounts/applications.ts';
import type { SessionKind } from '../../src/domain/decision-categories.ts';
import { readDecision } from '../../src/domain/decision-intake.ts';
import { Refusal } from '../../src/domain/failures.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { CloseRequest, ShareAnswer } from '../../src/domain/onboarding.ts';
import { connectionStore } from '../../src/postgres/connections.ts';
import { handoffTenants, type HandoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { createTenants, type Tenants, type Wish } from '../../src/postgres/tenants.ts';
import { acknowledgeOnboarding } from '../../src/sharing/acknowledge.ts';
import { closeShareToken, lookAtShareToken, spendAcknowledgement } from '../../src/sharing/close.ts';
import { changeConnection, proposeConnection, type ConnectionChange } from '../../src/sharing/connect.ts';
import { decisionOf } from '../../src/sharing/decision.ts';
import { deleteSession } from '../../src/sharing/delete-session.ts';
import { mintForOnboarding, mintShareToken, openOnboarding, type MintedToken } from '../../src/sharing/mint.ts';
import type { ContentSealer, Environment, ImportChoice, PartnerTerms } from '../../src/sharing/ports.ts';
import { importForOnboarding, redeemShareToken, RefusedImport, type Imported } from '../../src/sharing/redeem.ts';
import { importWithKeys } from '../../src/sharing/share-keys.ts';
import { revokeOnboarding } from '../../src/sharing/revoke.ts';
import { takeInSession } from '../../src/sharing/take-in.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { FIXTURE_PLACE } from './fixture-canaries.ts';
import { nameKeys } from './signing-keys.ts';
import { testBlindIndex, testSealer } from './app-parts.ts';

export const STYLE = { businessStatusCase: 'upper' } as const;
export const KID = 'test-2026';

/** An application with its default verification workflows and a key. */
export interface LabBrand {
  readonly id: string;
  readonly key: string;
  readonly workflows: Readonly<Record<SessionKind, string>>;
}

/** What a share is made of, besides its session. */
export interface ShareOrder {
  readonly from?: LabBrand;
  readonly to?: LabBrand;
  readonly ttlSeconds?: number;
}

/** What the partner says; `accept: true` without more. */
export interface Word extends ImportChoice {
  readonly accept?: boolean;
  readonly reason?: string;
  readonly by?: LabBrand;
}

/** The verbs on a real database, as the routes and the activities call them. */
export interface ShareLab {
  readonly database: TestDatabase;
  readonly tenants: Tenants;
  readonly handoff: HandoffTenants;
  /** Wishes of every committed transaction. */
  readonly wishes: Wish[];
  readonly issuer: LabBrand;
  readonly partner: LabBrand;
  readonly third: LabBrand;
  newBrand(environment?: Environment, withDefaults?: boolean): Promise<LabBrand>;
  newWorkflow(brand: LabBrand, kind: SessionKind): Promise<string>;
  /** Proposes a connection; with terms the partner activates it too. Resolves to its id. */
  connect(issuer: LabBrand, partner: LabBrand, terms?: PartnerTerms): Promise<string>;
  changeConnection(connectionId: string, by: LabBrand, change: Partial<ConnectionChange>): Promise<void>;
  takeIn(document: JsonObject, owner?: LabBrand): Promise<string>;
  decision(owner: LabBrand, sessionId: string): Promise<JsonObject | null>;
  remove(owner: LabBrand, sessionId: string): Promise<{ sessionNumber: number }>;
  mint(sessionId: string, order?: ShareOrder): Promise<MintedToken>;
  /** Opens an onboarding, still `minting`. */
  open(sessionId: string, order?: ShareOrder): Promise<string>;
  runMint(tokenId: string): ReturnType<typeof mintForOnboarding>;
  /** Opens an onboarding and mints its token. */
  start(sessionId: string, order?: ShareOrder): Promise<string>;
  look(tokenId: string): Promise<ShareAnswer>;
  acknowledge(tokenId: string, word?: Word): Promise<void>;
  revoke(tokenId: string, by?: LabBrand): Promise<void>;
  redeem(tokenId: string, choice?: ImportChoice, by?: LabBrand): Promise<Imported>;
  /** The run's import step: a refusal spends the acknowledgement, and is thrown on. */
  runImport(tokenId: string): Promise<ShareAnswer>;
  close(tokenId: string, request: CloseRequest): Promise<ShareAnswer>;
  rows<Row extends QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Does `work` while another transaction holds the rows that a `select … for update` takes. */
  holding<T>(rows: readonly [text: string, ...values: unknown[]], work: () => Promise<T>): Promise<T>;
  /** Until so many transactions of the verbs wait for a lock. */
  waiting(count: number): Promise<void>;
  /** Rows of every table together. */
  counts(): Promise<Record<string, number>>;
}

/** Opens the lab on a database of its own, with three sandbox brands. May be used from `beforeAll` on. */
export function shareLab(): ShareLab {
  const database = testDatabase();
  const wishes: Wish[] = [];
  let opened: Omit<ShareLab, 'database' | 'wishes'> | undefined;
  const there = () => {
    if (opened === undefined) throw new Error('The lab is there from beforeAll on');
    return opened;
  };
  beforeAll(async () => {
    const tenants = createTenants({ databaseUrl: database.url, afterCommit: (made) => wishes.push(...made) });
    await tenants.acrossTenants('secrets', async (sql) => nameKeys(sql, { activeKid: KID, kids: [KID] }));
    const [issuer, partner, third] = [await newBrand(tenants), await newBrand(tenants), await newBrand(tenants)];
    opened = {
      ...verbs(tenants, { issuer, partner }),
      tenants,
      issuer,
      partner,
      third,
      rows: async <Row extends QueryResultRow>(text: string, values?: readonly unknown[]) =>
        (await database.pool.query<Row>(text, values === undefined ? undefined : [...values])).rows,
      holding: async ([text, ...values], work) => {
        const holder = await database.pool.connect();
        try {
          await holder.query('begin');
          await holder.query(text, values);
          return await work();
        } finally {
          await holder.query('rollback');
          holder.release();
        }
      },
      waiting: async (count: number) => {
        while ((await transactionsWaiting(database)) < count);
      },
      counts: () => counts(database),
    };
  });
  afterAll(() => opened?.tenants.close());
  return new Proxy({ database, wishes } as ShareLab, {
    get: (target, name) => Reflect.get(name in target ? target : there(), name) as unknown,
  });
}

/** The verbs over a pool. Several pools on one database stand for several processes. */
export function verbs(
  tenants: Tenants,
  sides: { readonly issuer: LabBrand; readonly partner: LabBrand },
  sealer: ContentSealer = testSealer,
) {
  const { issuer, partner } = sides;
  const handoff = handoffTenants(tenants, sealer, testBlindIndex);
  const by = ({ id }: LabBrand) => ({ kind: 'api_key', id: `key-of-${id}` }) as const;
  const orderOf = (sessionId: string, { from = issuer, to = partner, ttlSeconds = 3600 }: ShareOrder) => ({
    issuerId: from.id,
    sessionId,
    partnerId: to.id,
    ttlSeconds,
  });
  const lab = {
    handoff,
    newBrand: (environment?: Environment, withDefaults?: boolean) => newBrand(tenants, environment, withDefaults),
    newWorkflow: (brand: LabBrand, kind: SessionKind) =>
      tenants.acrossTenants('provision', async (sql) =>
        createVerificationWorkflow(sql, { applicationId: brand.id, label: 'more', kind }),
      ),
    connect: async (from: LabBrand, to: LabBrand, terms?: PartnerTerms) => {
      const connectionId = await handoff.withTenant(
        from.id,
        (tx, sql) =>
          proposeConnection(connectionStore(sql, tx.sealer), () => tx.newId(), { issuerId: from.id, partnerId: to.id }),
        'connection',
      );
      if (terms !== undefined) await lab.changeConnection(connectionId, to, { terms: { status: 'active', ...terms } });
      return connectionId;
    },
    changeConnection: (connectionId: string, side: LabBrand, change: Partial<ConnectionChange>) =>
      handoff.withTenant(
        side.id,
        (tx, sql) =>
          changeConnection(connectionStore(sql, tx.sealer), () => tx.newId(), {
            connectionId,
            applicationId: side.id,
            change: { terms: {}, ...change },
          }),
        'connection',
      ),
    takeIn: async (document: JsonObject, owner: LabBrand = issuer) => {
      const content = readDecision(document);
      if (!content.ok) throw new Error(JSON.stringify(content.problems));
      const taken = await handoff.withTenant(owner.id, (tx) => takeInSession(tx, owner.id, content, by(owner)));
      return taken.sessionId;
    },
    decision: (owner: LabBrand, sessionId: string) =>
      handoff.withTenant(owner.id, async (tx) => {
        const stored = await tx.sessions.readDecision(owner.id, sessionId);
        return stored === null ? null : decisionOf(stored, tx.sealer, STYLE);
      }),
    remove: (owner: LabBrand, sessionId: string) =>
      handoff.withTenant(owner.id, (tx) => deleteSession(tx, owner.id, sessionId, by(owner))),
    mint: (sessionId: string, order: ShareOrder = {}) => {
      const from = order.from ?? issuer;
      return handoff.withTenant(from.id, (tx) => mintShareToken(tx, orderOf(sessionId, order), by(from)), 'mint');
    },
    open: async (sessionId: string, order: ShareOrder = {}) => {
      const from = order.from ?? issuer;
      const { tokenId } = await handoff.withTenant(
        from.id,
        (tx) => openOnboarding(tx, orderOf(sessionId, order), by(from)),
        'mint',
      );
      return tokenId;
    },
    runMint: (tokenId: string) => handoff.acrossTenants('onboarding', (tx) => mintForOnboarding(tx, tokenId, 1)),
    start: async (sessionId: string, order: ShareOrder = {}) => {
      const tokenId = await lab.open(sessionId, order);
      await lab.runMint(tokenId);
      return tokenId;
    },
    look: (tokenId: string) => handoff.acrossTenants('onboarding', (tx) => lookAtShareToken(tx, tokenId)),
    acknowledge: (tokenId: string, { accept = true, reason, by: side = partner, ...choice }: Word = {}) =>
      handoff.withTenant(
        side.id,
        (tx) =>
          acknowledgeOnboarding(
            tx,
            {
              tokenId,
              partnerId: side.id,
              accept,
              choice,
              reason: reason ?? null,
              bodySha256: createHash('sha256')
                .update(JSON.stringify([accept, choice, reason]))
                .digest(),
            },
            by(side),
          ),
        'onboarding',
      ),
    revoke: (tokenId: string, side: LabBrand = issuer) =>
      handoff.withTenant(side.id, (tx) => revokeOnboarding(tx, { tokenId, issuerId: side.id }, by(side)), 'onboarding'),
    redeem: (tokenId: string, choice: ImportChoice = {}, side: LabBrand = partner) =>
      importWithKeys(
        () =>
          handoff.withTenant(
            side.id,
            (tx) => redeemShareToken(tx, { tokenId, kid: KID, partnerId: side.id, choice }, by(side), STYLE),
            'redeem',
          ),
        (work) => handoff.acrossTenants('onboarding', work),
      ),
    runImport: async (tokenId: string) => {
      try {
        return await importWithKeys(
          () => handoff.acrossTenants('redeem', (tx) => importForOnboarding(tx, tokenId, 1, STYLE)),
          (work) => handoff.acrossTenants('onboarding', work),
        );
      } catch (error) {
        if (!(error instanceof RefusedImport)) throw error;
        const { code, field, acknowledgementId } = error;
        const why = { code, field: field ?? null, acknowledgementId };
        await handoff.acrossTenants('onboarding', (tx) =>
          spendAcknowledgement(tx, tokenId, why, { kind: 'onboarding', id: tokenId }),
        );
        throw error;
      }
    },
    close: (tokenId: string, request: CloseRequest) =>
      handoff.acrossTenants('onboarding', (tx) =>
        closeShareToken(tx, tokenId, request, { kind: 'onboarding', id: tokenId }),
      ),
  };
  return lab;
}

/** Makes an application with a key and its verification workflows. */
export function newBrand(tenants: Tenants, environment: Environment = 'sandbox', isDefault = true): Promise<LabBrand> {
  return tenants.acrossTenants('provision', async (sql) => {
    const id = createApplication(sql, { name: 'Test brand', environment });
    const { apiKey } = createApiKey(sql, { applicationId: id, environment, name: 'all' });
    const workflow = (kind: SessionKind) =>
      createVerificationWorkflow(sql, { applicationId: id, label: kind, kind, isDefault });
    return { id, key: apiKey, workflows: { user: workflow('user'), business: workflow('business') } };
  });
}

async function transactionsWaiting({ pool }: TestDatabase): Promise<number> {
  const { rowCount } = await pool.query(
    `select 1 from pg_stat_activity
     where datname = current_database() and application_name = 'handoff' and wait_event_type = 'Lock'`,
  );
  return rowCount ?? 0;
}

async function counts({ pool }: TestDatabase): Promise<Record<string, number>> {
  const tables = await pool.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`,
  );
  const each = tables.rows.map(({ name }) => `select '${name}' as name, count(*)::int as count from "${name}"`);
  const found = await pool.query<{ name: string; count: number }>(each.join(' union all '));
  return Object.fromEntries(found.rows.map(({ name, count }) => [name, count]));
}

/** Deadlocks that Postgres has found in a database. Sessions report them late, so close the pools first. */
export async function deadlocksOf(databaseUrl: string): Promise<number> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ deadlocks: number }>(
      'select deadlocks::int as deadlocks from pg_stat_database where datname = current_database()',
    );
    return rows[0]?.deadlocks ?? Number.NaN;
  } finally {
    await client.end();
  }
}

/** The refusal that a call ends with; a success and any other error fail the test. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const outcome: unknown = await call.catch((error: unknown) => error);
  if (outcome instanceof Error && !(outcome instanceof Refusal)) throw outcome;
  expect(outcome).toBeInstanceOf(Refusal);
  return outcome as Refusal;
}

/** A sample's document, new each time: its `external_id` is left out unless the caller's `changes` give one. */
export function sampleDocument(name: string, changes: JsonObject = {}): JsonObject {
  const text = readFileSync(new URL(`../../samples/${name}.json`, import.meta.url), 'utf8');
  const { external_id: _own, ...document } = JSON.parse(text) as JsonObject;
  return { ...document, ...changes };
}

/** A small finished user session whose `vendor_data` nobody else has. */
export function userDocument(changes: JsonObject = {}): JsonObject {
  return {
    session_kind: 'user',
    status: 'Approved',
    vendor_data: `crm-${randomUUID()}`,
    id_verifications: [
      { status: 'Approved', first_name: 'Ada', place_of_birth: FIXTURE_PLACE, expiration_date: '2031-01-31' },
    ],
    ...changes,
  };
}

/** A small finished business session; each reference is an officer's `kyc_session_id`. */
export function businessDocument(references: readonly (string | null)[] = [], changes: JsonObject = {}): JsonObject {
  return {
    session_kind: 'business',
    status: 'APPROVED',
    vendor_data: `biz-${randomUUID()}`,
    registry_checks: [{ status: 'Approved', company: { company_name: 'Acme', location: FIXTURE_PLACE } }],
    key_people_checks: [
      {
        status: 'Approved',
        registry: { officers: references.map((reference) => ({ name: 'Officer', kyc_session_id: reference })) },
      },
    ],
    ...changes,
  };
}
