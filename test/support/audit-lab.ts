import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { QueryResultRow } from 'pg';
import { createAnchorSigner, readSigningKey, type AnchorSigner } from '../../src/audit/anchors.ts';
import { directoryAnchors } from '../../src/audit/directory-anchors.ts';
import type { AnchorStore } from '../../src/audit/ports.ts';
import { verifyDatabase, type DatabaseReport } from '../../src/audit/verify-database.ts';
import { openAuditSnapshot } from '../../src/postgres/audit-snapshot.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { anchorChains, sealWaitingEvents } from '../../src/relay/audit.ts';
import type { NewEvent } from '../../src/sharing/ports.ts';
import { testBlindIndex, testSealer } from './app-parts.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { inTransaction } from './in-transaction.ts';
import { afterAll, beforeAll } from 'vitest';

/** What a signing key is made of, one for each number. */
export const testSeed = (number = 10): Buffer => createHash('sha256').update(`anchor key ${number}`).digest();

/** A signer with a key of its own for each number. */
export function testSigner(number = 10): AnchorSigner {
  const key = readSigningKey(testSeed(number));
  if (key === null) throw new Error('any 32 bytes are a seed');
  return createAnchorSigner(key);
}

export const publicKeyOf = (signer: AnchorSigner): Buffer => Buffer.from(signer.publicKey, 'base64url');

/** A store that can be away. */
export interface TestAnchorStore extends AnchorStore {
  away: boolean;
}

/** Audit trails on a database of their own, with anchors in a folder. */
export interface AuditLab {
  readonly database: TestDatabase;
  readonly tenants: Tenants;
  readonly folder: string;
  readonly store: TestAnchorStore;
  readonly signer: AnchorSigner;
  /** Writes events of an application, one after the other; resolves to their ids in this order. */
  write(applicationId: string, times: number, more?: Partial<NewEvent>): Promise<string[]>;
  /** Seals what waits, until nothing does. */
  seal(): Promise<void>;
  /** Anchors the chains that advanced. */
  anchor(everySeconds?: number): Promise<void>;
  /** Checks everything; `publicKeys: null` goes without anchors. */
  verify(publicKeys?: readonly Uint8Array[] | null): Promise<DatabaseReport>;
  /** Changes rows as a superuser who switches triggers and foreign keys off. */
  tamper(text: string, values?: readonly unknown[]): Promise<void>;
  /** Notes how the trail stands. */
  save(): Promise<void>;
  /** Makes the trail as it was noted. */
  restore(): Promise<void>;
  rows<Row extends QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

const TABLES = ['event', 'event_payload', 'audit_unsealed', 'audit_chain', 'audit_head', 'audit_anchor'];

export function auditLab(): AuditLab {
  const database = testDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'handoff-anchors-'));
  const kept = directoryAnchors(folder);
  const store: TestAnchorStore = {
    ...kept,
    away: false,
    append: (anchors) => (store.away ? Promise.reject(new Error('away')) : kept.append(anchors)),
  };
  const signer = testSigner();
  let opened: Tenants | undefined;
  beforeAll(() => {
    opened = createTenants({ databaseUrl: database.url });
  });
  afterAll(() => opened?.close());
  const tenants = () => {
    if (opened === undefined) throw new Error('The lab is there from beforeAll on');
    return opened;
  };
  const rows = async <Row extends QueryResultRow>(text: string, values: readonly unknown[] = []) =>
    (await database.pool.query<Row>(text, [...values])).rows;
  const tamper = (statements: readonly string[], values: readonly unknown[] = []) =>
    inTransaction(database.pool, async (client) => {
      await client.query('set local session_replication_role = replica');
      for (const text of statements) await client.query(text, [...values]);
    });
  return {
    database,
    folder,
    store,
    signer,
    rows,
    get tenants() {
      return tenants();
    },
    write: (applicationId, times, more) => writeEvents(tenants(), applicationId, times, more),
    seal: async () => {
      while (await sealWaitingEvents(tenants()));
    },
    anchor: async (everySeconds = 0) => {
      await anchorChains(tenants(), { signer, store, everySeconds });
    },
    verify: (publicKeys = [publicKeyOf(signer)]) =>
      verifyDatabase({
        open: () => openAuditSnapshot(database.url, testSealer),
        anchoring: publicKeys === null ? null : { store, publicKeys, anchorSeconds: 60 },
      }),
    tamper: (text, values) => tamper([text], values),
    save: async () => {
      for (const table of TABLES) await rows(`create table saved_${table} as table ${table}`);
    },
    restore: () =>
      tamper(
        TABLES.flatMap((table) => [
          `delete from ${table}`,
          `insert into ${table} ${table === 'audit_unsealed' ? 'overriding system value' : ''} table saved_${table}`,
        ]),
      ),
  };
}

/** Events as verbs write them, each in a transaction of its own. */
export async function writeEvents(
  tenants: Tenants,
  applicationId: string,
  times: number,
  more: Partial<NewEvent> = {},
): Promise<string[]> {
  const handoff = handoffTenants(tenants, testSealer, testBlindIndex);
  const written: string[] = [];
  for (let n = 0; n < times; n += 1) {
    const dedupeKey = randomUUID();
    const event: NewEvent = {
      type: 'status.updated',
      applicationId,
      tokenId: randomUUID(),
      sessionId: randomUUID(),
      dedupeKey,
      body: { status: 'Approved', number: n },
      reason: 'manual_review',
      before: { status: 'In Review' },
      after: { status: 'Approved' },
      ...more,
    };
    await handoff.withTenant(applicationId, async (tx, sql) => {
      tx.events.insert([event], { kind: 'api_key', id: 'key-1', requestId: 'request-1' });
      const [row] = await sql.query<{ id: string }>('select event_id as id from event where dedupe_key = $1', [
        dedupeKey,
      ]);
      written.push(row?.id ?? '');
    });
  }
  return written;
}
