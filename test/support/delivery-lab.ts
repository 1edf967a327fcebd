import { randomUUID } from 'node:crypto';
import type { QueryResultRow } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { createApplication, createWebhookDestination } from '../../src/accounts/applications.ts';
import { EVENT_TYPES, type EventType } from '../../src/domain/events.ts';
import { deliveryLedger, dispatchEvents } from '../../src/postgres/deliveries.ts';
import { handoffTenants, type HandoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import type { AttemptRecord, ClaimedDelivery, DeliveryLedger, DisabledDestination } from '../../src/webhooks/ports.ts';
import { testBlindIndex, testSealer } from './app-parts.ts';
import { resetClock, shiftClock, testDatabase, type TestDatabase } from './database.ts';

/** Applications with webhook destinations, and events for them, on a database of its own. */
export interface DeliveryLab {
  readonly database: TestDatabase;
  readonly tenants: Tenants;
  readonly handoff: HandoffTenants;
  readonly ledger: DeliveryLedger;
  /** Destinations that the ledger said were switched off, in this test. */
  readonly disabled: DisabledDestination[];
  /** Connections of its own, as another process has them. */
  otherTenants(): Tenants;
  /** A ledger with connections of its own. */
  otherLedger(): DeliveryLedger;
  /** Ends those connections. */
  closeOthers(): Promise<void>;
  application(): Promise<string>;
  destination(applicationId: string, events?: readonly EventType[]): Promise<string>;
  /** Tells an application something new, so often, and makes the deliveries of it; resolves to the events' ids. */
  tell(applicationId: string, times?: number): Promise<string[]>;
  /** Takes the one delivery that is due. */
  claimOnly(): Promise<ClaimedDelivery>;
  /** Takes what is due, until nothing is. */
  claimAll(ledger?: DeliveryLedger): Promise<ClaimedDelivery[]>;
  /** Takes and records so many deliveries, one after the other. */
  attempt(times: number, state: AttemptRecord['state'], more?: Partial<AttemptRecord>): Promise<void>;
  /**
   * Puts an attempt by hand in line, for the first delivery that was made to a destination, at its own URL if no other;
   * resolves to its id.
   */
  byHand(destinationId: string, url?: string): Promise<string>;
  /** Lets the database's time pass. */
  pass(time: string): Promise<void>;
  rows<Row extends QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** Opens the lab. May be used from `beforeAll` on; deliveries and the clock are new in each test. */
export function deliveryLab(): DeliveryLab {
  const database = testDatabase();
  const disabled: DisabledDestination[] = [];
  const opened: Tenants[] = [];
  let tenants: Tenants | undefined;
  const open = () => createTenants({ databaseUrl: database.url });
  const ledgerOf = (of: Tenants) => deliveryLedger(of, testSealer, (one) => disabled.push(one));
  const there = () => {
    if (tenants === undefined) throw new Error('The lab is there from beforeAll on');
    return tenants;
  };
  beforeAll(() => {
    tenants = open();
  });
  beforeEach(async () => {
    disabled.length = 0;
    await lab.rows('truncate outbox, delivery_attempt, delivery cascade');
    await lab.rows('update webhook_destination set deleted_at = now() where deleted_at is null');
  });
  afterEach(() => resetClock(database.pool));
  afterAll(async () => {
    await lab.closeOthers();
    await tenants?.close();
  });

  const lab: DeliveryLab = {
    database,
    disabled,
    get tenants() {
      return there();
    },
    get handoff() {
      return handoffTenants(there(), testSealer, testBlindIndex);
    },
    get ledger() {
      return ledgerOf(there());
    },
    otherTenants: () => {
      const other = open();
      opened.push(other);
      return other;
    },
    otherLedger: () => ledgerOf(lab.otherTenants()),
    closeOthers: async () => {
      await Promise.all(opened.splice(0).map((one) => one.close()));
    },
    application: () =>
      there().acrossTenants('provision', async (sql) =>
        createApplication(sql, { name: 'Receiver', environment: 'sandbox' }),
      ),
    destination: async (applicationId, subscribedEvents = EVENT_TYPES) => {
      const made = await there().acrossTenants('provision', (sql) =>
        createWebhookDestination(sql, testSealer, {
          applicationId,
          url: `https://receiver.example/${randomUUID()}`,
          subscribedEvents,
        }),
      );
      if (made === null) throw new Error('a URL of its own');
      return made.destinationId;
    },
    tell: async (applicationId, times = 1) => {
      const tokenIds = Array.from({ length: times }, () => randomUUID());
      await lab.handoff.acrossTenants('relay', async (tx, sql) => {
        for (const tokenId of tokenIds) {
          const body = { webhook_type: 'share.minted' };
          const about = { tokenId, sessionId: null, dedupeKey: tokenId };
          tx.events.insert([{ type: 'share.minted', applicationId, ...about, body }], { kind: 'system', id: null });
        }
        for (const tokenId of tokenIds) await dispatchEvents(sql, { tokenId });
      });
      const made = await lab.rows<{ event_id: string }>(
        'select event_id from event where token_id = any ($1::uuid[]) order by created_at',
        [tokenIds],
      );
      return made.map(({ event_id }) => event_id);
    },
    claimOnly: async () => {
      const [claimed, ...others] = (await lab.ledger.claimDue(10)).claimed;
      if (claimed === undefined || others.length > 0) throw new Error('one delivery should be due');
      return claimed;
    },
    claimAll: async (ledger = lab.ledger) => {
      const all: ClaimedDelivery[] = [];
      for (;;) {
        const { claimed, busy } = await ledger.claimDue(64);
        all.push(...claimed);
        if (claimed.length === 0 && !busy) return all;
      }
    },
    attempt: async (times, state, more) => {
      for (let n = 0; n < times; n += 1) {
        const [claimed] = (await lab.ledger.claimDue(1)).claimed;
        await lab.ledger.record(recordOf(claimed, state, more));
      }
    },
    byHand: async (destinationId, url) => {
      const [row] = await lab.rows<{ attempt_id: string }>(
        `insert into delivery_attempt
           (delivery_id, attempt, application_id, destination_id, request_url, trigger, state)
         select v.delivery_id, (select count(*) + 1 from delivery_attempt o where o.delivery_id = v.delivery_id),
           v.application_id, v.destination_id, coalesce($2, d.url), 'manual', 'pending'
         from delivery v join webhook_destination d on d.destination_id = v.destination_id
         where v.destination_id = $1 order by v.created_at, v.delivery_id limit 1 returning attempt_id`,
        [destinationId, url ?? null],
      );
      if (row === undefined) throw new Error('the destination has a delivery');
      return row.attempt_id;
    },
    pass: (time) => shiftClock(database.pool, time),
    rows: async <Row extends QueryResultRow>(text: string, values?: readonly unknown[]) =>
      (await database.pool.query<Row>(text, values === undefined ? undefined : [...values])).rows,
  };
  return lab;
}

/** What an attempt came to, with a reply that fits. */
export function recordOf(
  claimed: ClaimedDelivery | undefined,
  state: AttemptRecord['state'],
  more: Partial<AttemptRecord> = {},
): AttemptRecord {
  if (claimed === undefined) throw new Error('a delivery was to be taken');
  const { deliveryId, attemptId, trigger, attempt, scheduledSoFar, applicationId, destinationId } = claimed;
  const delivered = state === 'delivered';
  return {
    deliveryId,
    attemptId,
    trigger,
    scheduledSoFar,
    applicationId,
    destinationId,
    state,
    requestHeaders: { 'webhook-attempt': String(attempt) },
    retryInMs: state === 'retrying' ? 5_000 : null,
    reason: delivered ? 'http_204' : 'http_500',
    durationMs: 12,
    connectedIp: '192.0.2.1',
    responseStatus: delivered ? 204 : 500,
    responseHead: '',
    leftOut: [],
    bodyTruncated: false,
    locationHost: null,
    hint: null,
    slowDestinationMs: null,
    disables: null,
    ...more,
  };
}
