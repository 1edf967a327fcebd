import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROLES, type Operation, type RoleListing } from '../../src/postgres/isolation/roles.ts';
import { TABLES } from '../../src/postgres/isolation/tables.ts';
import { asRole, listedPrivileges, rowsAs, type Acting } from '../support/isolation.ts';
import { businessDocument, shareLab, userDocument } from '../support/share-lab.ts';

const lab = shareLab();
const AS_TENANTS = (Object.keys(ROLES) as Operation[]).filter((operation) => {
  const listing: RoleListing = ROLES[operation];
  return ['tenant', 'own', 'onboarding'].includes(listing.base ?? '');
});

/** Columns that say whose a row is. */
const SIDES = ['application_id', 'issuer_id', 'partner_id'];
const sidesOf = new Map<string, readonly string[]>();

beforeAll(async () => {
  const { rows } = await lab.database.pool.query<{ table: string; columns: string[] }>(
    `select c.relname as table, array_agg(a.attname::text) filter (where a.attname = any ($2)) as columns
     from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'public'::regnamespace and c.relname = any ($1) group by c.relname`,
    [Object.keys(TABLES), SIDES],
  );
  for (const { table, columns } of rows) sidesOf.set(table, columns ?? []);
  // Shares in all directions, each with all that comes of one.
  for (const [from, to] of [
    [lab.issuer, lab.partner],
    [lab.partner, lab.third],
    [lab.third, lab.issuer],
  ] as const) {
    await lab.connect(from, to, { acceptance: 'acknowledge' });
    const order = { from, to };
    const person = await lab.takeIn(userDocument(), from);
    const business = await lab.takeIn(businessDocument([person]), from);
    await lab.redeem(await lab.mint(business, order).then(({ tokenId }) => tokenId), {}, to);
    const run = await lab.start(await lab.takeIn(userDocument(), from), order);
    await lab.acknowledge(run, { by: to });
    await lab.start(await lab.takeIn(userDocument(), from), order);
  }
  // What the lab makes none of.
  for (const { id } of [lab.issuer, lab.partner, lab.third]) await fillTheRest(id);
});

async function fillTheRest(applicationId: string): Promise<void> {
  const [destination, delivery, entity, imported] = Array.from({ length: 4 }, () => randomUUID());
  await lab.database.pool.query(`
    insert into webhook_destination (destination_id, application_id, label, url, subscribed_events)
      values ('${destination}', '${applicationId}', 'one', 'https://a.example', '{}');
    insert into webhook_health (destination_id, application_id) values ('${destination}', '${applicationId}');
    insert into webhook_secret (secret_id, destination_id, application_id, sealed)
      values ('${randomUUID()}', '${destination}', '${applicationId}', '');
    insert into delivery (delivery_id, event_id, destination_id, application_id, owner)
      select '${delivery}', event_id, '${destination}', '${applicationId}', 'sender' from event
      where application_id = '${applicationId}' limit 1;
    insert into delivery_attempt (delivery_id, attempt, application_id, destination_id, request_url)
      values ('${delivery}', 1, '${applicationId}', '${destination}', '');
    insert into entity (entity_id, application_id, session_kind) values ('${entity}', '${applicationId}', 'user');
    insert into entity_comment (comment_id, entity_id, application_id, comment_type, payload)
      values ('${randomUUID()}', '${entity}', '${applicationId}', 'COMMENT', '');
    insert into ingest_secret (application_id, sealed) values ('${applicationId}', '');
    insert into media_fetch (media_id, session_id, application_id, url)
      values ('${randomUUID()}', '${randomUUID()}', '${applicationId}', '');
    insert into session_media (session_id, application_id, media_id)
      select session_id, application_id, '${randomUUID()}' from session where application_id = '${applicationId}';
    insert into session_home (session_id, application_id, category, position, payload)
      select session_id, application_id, 'x', 1, '' from session where application_id = '${applicationId}';
    insert into session_search (session_id, application_id, term)
      select session_id, application_id, 'x' from session where application_id = '${applicationId}';
    insert into session_import (import_id, application_id, environment, import_type, provider, workflow_id, workflow_version,
        file_format, parts, total_rows, total_bytes)
      values ('${imported}', '${applicationId}', 'sandbox', 'user_verification', 'didit', '${randomUUID()}', 1, 'csv', 1, 1, 1);
    insert into session_import_part (import_id, application_id, position, payload) values ('${imported}', '${applicationId}', 0, '');
    insert into session_import_error (import_id, application_id, row_number, payload) values ('${imported}', '${applicationId}', 1, '');
    insert into connection_agreement (agreement_id, connection_id, application_id, reference, document_sha256, legal_basis,
        purpose, signer, signed_on)
      select gen_random_uuid(), connection_id, issuer_id, '', '', '', '', '', now() from connection where issuer_id = '${applicationId}';
    insert into audit_head (application_id) values ('${applicationId}');
    insert into audit_chain (application_id, position, event_id, row_sha256, chain_sha256, sealed_at)
      select application_id, 1, event_id, '', '', now() from event where application_id = '${applicationId}' limit 1;
    insert into audit_anchor (application_id, position, anchored_at, chain_sha256, key_id, signature)
      values ('${applicationId}', 1, now(), '', '', '');`);
}

/** Rows that a role sees of every table, were it granted all of them; its own policies alone decide. */
async function seen(operation: Operation, tenant: string, which: (table: string) => string) {
  const client = await lab.database.pool.connect();
  try {
    await client.query(`begin; grant select on all tables in schema public to handoff_${operation}`);
    await client.query(`set local role handoff_${operation}; set local handoff.tenant = '${tenant}'`);
    const counts = Object.keys(TABLES).map(
      (table) => `select '${table}' as name, count(*)::int as count from ${table} where ${which(table)}`,
    );
    const { rows } = await client.query<{ name: string; count: number }>(counts.join(' union all '));
    return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
  } finally {
    await client.query('rollback');
    client.release();
  }
}

const nothing = Object.fromEntries(Object.keys(TABLES).map((table) => [table, 0]));

/** Condition on the rows of others: none of its sides is the tenant. */
const others = (tenant: string) => (table: string) => {
  const neither = `'${tenant}' not in (issuer_id, partner_id)`;
  if (table === 'connection_agreement')
    return `connection_id in (select connection_id from connection where ${neither})`;
  const columns = table === 'acknowledgement' ? [] : (sidesOf.get(table) ?? []);
  return columns.length > 0
    ? `'${tenant}' not in (${columns.join(', ')})`
    : `token_id in (select token_id from onboarding where ${neither} union select token_id from share_token where ${neither})`;
};

describe('a transaction', () => {
  it('sees rows of every table as its own tenant, and of none as another or as nobody', async () => {
    const own = await seen('tenant', lab.issuer.id, () => 'true');
    expect(Object.entries(own).filter(([, count]) => count === 0)).toEqual([]);
    expect(await seen('tenant', '', () => 'true')).toEqual(nothing);
    expect(await seen('tenant', randomUUID(), () => 'true')).toEqual(nothing);
  });

  it.each(['tenant', 'ingest', 'redeem', 'onboarding', 'reveal_secret'] as const)(
    'sees no row of another tenant as %s',
    async (operation) => {
      const { id } = lab.issuer;
      const { rows } = await lab.database.pool.query<{ count: number }>(
        Object.keys(TABLES)
          .map((table) => `select count(*)::int as count from ${table} where ${others(id)(table)}`)
          .join(' union all '),
      );
      expect(rows.filter(({ count }) => count === 0)).toEqual([]);
      const foreign = await seen(operation, id, others(id));
      // What is told of a share is known to both of its sides.
      const shared = ['redeem', 'onboarding'].includes(operation)
        ? ['delivery', 'delivery_attempt', 'event', 'event_sequence']
        : [];
      expect(Object.keys(foreign).filter((table) => foreign[table] !== 0 && !shared.includes(table))).toEqual([]);
    },
  );

  it('sees what is told of its own shares as one of their sides, and of no others', async () => {
    const { id } = lab.issuer;
    const foreign = await seen('redeem', id, others(id));
    const { rows } = await lab.database.pool.query<{ count: number }>(
      `select count(*)::int as count from event e join share_token t using (token_id)
       where e.application_id <> $1 and $1 in (t.issuer_id, t.partner_id)`,
      [id],
    );
    expect(foreign['event']).toBe(rows[0]?.count);
  });

  it('sees names and environments of others, and nothing else of them, to mint or to connect', async () => {
    for (const operation of ['mint', 'connection'] as const) {
      const foreign = await seen(operation, lab.issuer.id, others(lab.issuer.id));
      expect(Object.keys(foreign).filter((table) => foreign[table] !== 0)).toEqual(['application']);
      await expect(
        rowsAs(lab.database.pool, operation, { tenant: lab.issuer.id }, 'select name from application'),
      ).rejects.toThrow(/permission denied/);
    }
  });

  it.each(AS_TENANTS)('writes nothing for another tenant as %s', async (operation) => {
    const { issuer, partner } = lab;
    const write = (text: string, values: readonly unknown[]) =>
      rowsAs(lab.database.pool, operation, { tenant: issuer.id }, text, values);
    // Where it may write at all: the others are refused the command itself.
    const mayWrite = (table: string, command: string) => listedPrivileges(operation).get(table)?.has(command) === true;
    await expect(
      write(`insert into entity (entity_id, application_id, session_kind, vendor_data) values ($1, $2, 'user', 'x')`, [
        randomUUID(),
        partner.id,
      ]),
    ).rejects.toThrow(mayWrite('entity', 'insert') ? /row-level security/ : /permission denied/);
    for (const [command, text] of [
      ['update', 'update session set updated_at = $2 where application_id = $1 returning 1'],
      ['delete', 'delete from session where application_id = $1 and $2 <> $1::text returning 1'],
    ] as const) {
      const written = write(text, [partner.id, '2030-01-01']);
      if (mayWrite('session', command)) expect(await written).toEqual([]);
      else await expect(written).rejects.toThrow(/permission denied/);
    }
    if (!mayWrite('session', 'update')) return;
    expect(await write(`select 1 from session where application_id = $1 for update`, [partner.id])).toEqual([]);
  });

  it('cannot make a row of its own another’s', async () => {
    await asRole(lab.database.pool, 'tenant', { tenant: lab.issuer.id }, async (client) => {
      await expect(client.query('update session set application_id = $1', [lab.partner.id])).rejects.toThrow(
        /permission denied/,
      );
    });
  });
});

it('has event keys that hold ids of ours: no tenant can take one of another’s', async () => {
  const keys = await lab.rows<{ key: string }>(`select distinct dedupe_key as key from event`);
  expect(keys.length).toBeGreaterThan(10);
  for (const { key } of keys) expect(key).toMatch(/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/);
});

it('is under policies that leave indexes their use', async () => {
  const { id } = lab.issuer;
  const { tokenId } = await lab.mint(await lab.takeIn(userDocument()));
  const planOf = (operation: Operation, acting: Acting, text: string, values: readonly unknown[]) =>
    asRole(lab.database.pool, operation, acting, async (client) => {
      await client.query('set local enable_seqscan = off');
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${text}`, [...values]);
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    });
  const redeems = { tenant: lab.partner.id, token: tokenId };
  for (const [operation, acting, text, values, index] of [
    ['tenant', { tenant: id }, 'select 1 from session where session_id = $1', [id], 'session_pkey'],
    [
      'tenant',
      { tenant: id },
      'select 1 from session where application_id = $1 order by session_id desc limit 50',
      [id],
      'session_newest',
    ],
    [
      'tenant',
      { tenant: id },
      'select 1 from event where application_id = $1 order by created_at, event_id',
      [id],
      'event_application',
    ],
    ['redeem', redeems, 'select 1 from session where session_id = $1 for share', [id], 'session_pkey'],
    ['redeem', redeems, 'select 1 from session_check where session_id = any ($1)', [[id]], 'session_check_pkey'],
    ['redeem', redeems, 'select 1 from event where token_id = $1', [tokenId], 'event_token'],
    [
      'onboarding',
      { token: tokenId },
      'select 1 from delivery where event_id = $1',
      [id],
      'delivery_event_id_destination_id_key',
    ],
  ] as const) {
    const plan = await planOf(operation, acting, text, values);
    expect(plan).toContain(index);
    expect(plan).not.toContain('Seq Scan');
  }
});
