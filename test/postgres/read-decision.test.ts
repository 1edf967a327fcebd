import { randomUUID } from 'node:crypto';
import type { QueryResultRow } from 'pg';
import { expect, it } from 'vitest';
import { readSourceEvent } from '../../src/domain/ingestion.ts';
import { ingestStore } from '../../src/postgres/ingestion.ts';
import { sessionStore } from '../../src/postgres/sessions.ts';
import type { Transaction } from '../../src/postgres/tenants.ts';
import { decisionOf } from '../../src/sharing/decision.ts';
import { ingestSourceEvent } from '../../src/sharing/ingest.ts';
import { personDecision, personEvent } from '../support/didit-webhooks.ts';
import { shareLab, STYLE } from '../support/share-lab.ts';

const lab = shareLab();

/** Takes the nth version of a session in: its name, its score and its metadata belong together. */
async function ingest(externalId: string, n: number): Promise<string> {
  const decision = personDecision(externalId, `Name ${n}`, { liveness_checks: [{ score: n }], metadata: { n } });
  const reading = readSourceEvent(personEvent(externalId, { created_at: 1_774_970_000 + n, decision }));
  if (reading.about !== 'session') throw new Error(JSON.stringify(reading));
  const call = { applicationId: lab.issuer.id, event: reading.event, actor: { kind: 'system', id: null } } as const;
  const { sessionId } = await lab.handoff.withTenant(lab.issuer.id, (tx, sql) =>
    ingestSourceEvent(tx, ingestStore(sql, tx.sealer), call, STYLE),
  );
  if (sessionId === null) throw new Error('it is about a session');
  return sessionId;
}

/** The same transaction with one statement at a time, and something happening before the nth. */
function interrupted(sql: Transaction, nth: number, happening: () => Promise<unknown>): Transaction {
  let last: Promise<unknown> = Promise.resolve();
  let count = 0;
  return {
    ...sql,
    query: <Row extends QueryResultRow>(text: string, values?: readonly unknown[]) => {
      const answer = last.then(async () => {
        count += 1;
        if (count === nth) await happening();
        return sql.query<Row>(text, values);
      });
      last = answer;
      return answer;
    },
  };
}

it.each([1, 2, 3, 4, 5, 6])('a change before statement %i of a read leaves no mixture of two contents', async (nth) => {
  const externalId = randomUUID();
  const sessionId = await ingest(externalId, 1);
  const decision = await lab.handoff.withTenant(lab.issuer.id, async (tx, sql) => {
    const store = sessionStore(interrupted(sql, nth, () => ingest(externalId, 2)));
    const stored = await store.readDecision(lab.issuer.id, sessionId);
    return stored === null ? null : decisionOf(stored, tx.sealer, STYLE);
  });
  expect(decision).toMatchObject({
    id_verifications: [{ first_name: 'Name 2' }],
    liveness_checks: [{ score: 2 }],
    metadata: { n: 2 },
  });
});

it('a session that is deleted during a read is not there', async () => {
  const externalId = randomUUID();
  const sessionId = await ingest(externalId, 1);
  const stored = await lab.handoff.withTenant(lab.issuer.id, (_tx, sql) =>
    sessionStore(interrupted(sql, 3, () => lab.remove(lab.issuer, sessionId))).readDecision(lab.issuer.id, sessionId),
  );
  expect(stored).toBeNull();
});
