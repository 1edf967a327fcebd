import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createSealer, type Sealer } from '../../src/crypto/payload-seal.ts';
import { PLATFORM_ID } from '../../src/domain/ids.ts';
import type { JsonValue } from '../../src/domain/json.ts';
import { readDecision } from '../../src/domain/decision-intake.ts';
import { directoryStore } from '../../src/media/directory-store.ts';
import { contentContext } from '../../src/postgres/entities.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { newId } from '../../src/postgres/new-id.ts';
import { keyUsage } from '../../src/postgres/rotation/key-usage.ts';
import { adoptPlain } from '../../src/postgres/rotation/adopt-plain.ts';
import { rewrapAll } from '../../src/postgres/rotation/rewrap-all.ts';
import type { RewrapProgress } from '../../src/postgres/rotation/rewrap-columns.ts';
import { SEALED_COLUMNS } from '../../src/postgres/rotation/sealed-columns.ts';
import { resealSecrets } from '../../src/postgres/reseal-secrets.ts';
import { loadSigningKeys, prepareSigningKeys } from '../../src/postgres/signing-keys.ts';
import { takeInSession } from '../../src/sharing/take-in.ts';
import { testBlindIndex, testKey } from '../support/app-parts.ts';
import { fillEveryColumn, openEverything, takeInWithFile, verbsWith } from '../support/sealed-rows.ts';
import { shareLab, userDocument } from '../support/share-lab.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-media-'));
const media = directoryStore(folder);
const OPERATOR = { kind: 'system', id: 'ada' } as const;

/** Rings of both kinds: `kids` in their order, each with a key of its own in either. */
const ringsOf = (kids: readonly string[]) => {
  const ring = (offset: number) => kids.map((kid) => `${kid}:${testKey(offset + kid.charCodeAt(0))}`).join(',');
  return { content: ring(0), secrets: ring(1_000) };
};
const sealerOf = (...kids: string[]): Sealer => {
  const { content, secrets } = ringsOf(kids);
  return createSealer({ content: parseKeyRing(content), secrets: parseKeyRing(secrets) });
};

describe('a rotation', () => {
  const lab = shareLab();
  const nothing = { rows: 0, first: [] };
  const rewrap = (sealer: Sealer, onProgress?: (progress: RewrapProgress) => void) =>
    rewrapAll({ tenants: lab.tenants, sealer }, onProgress);
  const adopt = (sealer: Sealer) => {
    const handoff = handoffTenants(lab.tenants, sealer, testBlindIndex);
    return adoptPlain({ tenants: lab.tenants, handoff, sealer, media }, OPERATOR);
  };
  const kidsInUse = async () =>
    [...new Set((await keyUsage(lab.tenants)).map(({ kid, state }) => kid ?? state))].toSorted();

  it('knows every column that a key of a ring seals', async () => {
    await fillEveryColumn(lab, sealerOf('a'), media);
    const opened = await openEverything(lab, sealerOf('a'), media);
    // Whatever is not filled here is not shown to survive a rotation.
    expect(Object.entries(opened).filter(([, rows]) => rows === 0)).toEqual([]);
    for (const [table, column, said] of [
      ['acknowledgement', 'reason', 'another name'],
      ['connection_agreement', 'signer', 'Somebody'],
      ['delivery_attempt', 'response_head', 'took'],
      ['entity', 'profile', 'Some Body'],
    ]) {
      const rows = await lab.rows(`select 1 from ${table} where position(convert_to($1, 'UTF8') in ${column}) > 0`, [
        said,
      ]);
      expect(rows).toEqual([]);
    }
    const bytes = await lab.rows<{ name: string }>(
      `select c.table_name || '.' || c.column_name as name from information_schema.columns c
       join information_schema.tables t using (table_schema, table_name)
       where c.table_schema = 'public' and c.data_type = 'bytea' and t.table_type = 'BASE TABLE'`,
    );
    const hashes = /(_sha256|_hmac|_index|\.salt|\.digest|\.term|_signature|\.signature)$/;
    const underDataKeys = ['session_check.payload', 'session_home.payload', 'media_fetch.url'];
    const listed = SEALED_COLUMNS.map(({ table, column }) => `${table}.${column}`);
    const known = [...listed, ...underDataKeys];
    expect(bytes.map(({ name }) => name).filter((name) => !known.includes(name) && !hashes.test(name))).toEqual([]);
    expect(known.filter((name) => !bytes.some((one) => one.name === name))).toEqual([]);
  });

  it('moves everything to the new key, and tells how far it is', async () => {
    await fillEveryColumn(lab, sealerOf('a'), media);
    expect(await kidsInUse()).toEqual(['a']);
    const before = await keyUsage(lab.tenants);
    const told: RewrapProgress[] = [];
    const outcome = await rewrap(sealerOf('b', 'a'), (progress) => told.push(progress));
    const rows = before.reduce((sum, use) => sum + use.rows, 0);
    expect(outcome).toEqual({ rewrapped: rows, unreadable: nothing, complete: true });
    for (const { table, column, rows: total } of before) {
      const last = told.findLast((progress) => progress.table === table && progress.column === column);
      expect(last).toEqual({ table, column, done: total, total });
    }
    expect(await keyUsage(lab.tenants)).toEqual(before.map((use) => ({ ...use, kid: 'b' })));
    await openEverything(lab, sealerOf('b'), media);
    expect(await rewrap(sealerOf('b'))).toEqual({ rewrapped: 0, unreadable: nothing, complete: true });
  });

  it('goes on under load: no read or write fails, and the old key can leave afterwards', async () => {
    const sealer = sealerOf('c', 'b');
    const does = verbsWith(lab, sealer);
    const sources: { sessionId: string; decision: unknown }[] = [];
    for (let made = 0; made < 12; made += 1) {
      const { sessionId } = await takeInWithFile(lab, sealerOf('b'), media);
      sources.push({ sessionId, decision: await does.decision(lab.issuer, sessionId) });
    }
    const waiting = await Promise.all(sources.map(({ sessionId }) => verbsWith(lab, sealerOf('b')).mint(sessionId)));
    const ended = new AbortController();
    const counts = { reads: 0, writes: 0, imports: 0 };
    const load = [
      ...Array.from({ length: 2 }, async () => {
        for (let at = 0; !ended.signal.aborted; at += 1) {
          const { sessionId, decision } = sources[at % sources.length] ?? { sessionId: '', decision: null };
          expect(await does.decision(lab.issuer, sessionId)).toEqual(decision);
          counts.reads += 1;
        }
      }),
      (async () => {
        for (; !ended.signal.aborted; counts.writes += 1) {
          const sessionId = await does.takeIn(userDocument());
          const { tokenId } = await does.mint(sessionId);
          await does.redeem(tokenId);
        }
      })(),
      (async () => {
        for (const { tokenId } of waiting) {
          await does.redeem(tokenId);
          counts.imports += 1;
          await pause(5);
        }
      })(),
    ];
    const outcome = await rewrap(sealer);
    ended.abort();
    await Promise.all(load);
    expect(outcome).toMatchObject({ unreadable: nothing, complete: true });
    expect(outcome.rewrapped).toBeGreaterThan(50);
    expect(counts.imports).toBe(12);
    expect(Math.min(counts.reads, counts.writes)).toBeGreaterThan(0);
    expect(await kidsInUse()).toEqual(['c']);
    await openEverything(lab, sealerOf('c'), media);
  });

  it('waits for what was being written with the old key, and takes it along', async () => {
    const old = verbsWith(lab, sealerOf('c'));
    const content = readDecision(userDocument());
    if (!content.ok) throw new Error('it is a document');
    let commit: () => void = () => undefined;
    const mayCommit = new Promise<void>((resolve) => (commit = resolve));
    const writing = old.handoff.withTenant(lab.issuer.id, async (tx) => {
      await takeInSession(tx, lab.issuer.id, content, { kind: 'system', id: null });
      await mayCommit;
    });
    await pause(50);
    const rewrapping = rewrap(sealerOf('d', 'c'));
    expect(await Promise.race([rewrapping, pause(500, 'waits')])).toBe('waits');
    commit();
    await writing;
    expect(await rewrapping).toMatchObject({ complete: true });
    expect(await kidsInUse()).toEqual(['d']);
  });

  it('names what no key opens and leaves it as it is', async () => {
    const profile = async (entityId: string) =>
      (await lab.rows<{ profile: Buffer }>('select profile from entity where entity_id = $1', [entityId]))[0]?.profile;
    const [altered, lost, sessionId] = [
      await makeEntities(sealerOf('d'), 1),
      await makeEntities(sealerOf('z'), 1),
      await verbsWith(lab, sealerOf('d')).takeIn(userDocument()),
    ];
    await lab.rows(
      'update entity set profile = set_byte(profile, 40, get_byte(profile, 40) # 1) where entity_id = $1',
      [altered[0]],
    );
    await lab.rows(
      'update session_key set wrapped = set_byte(wrapped, 30, get_byte(wrapped, 30) # 1) where session_id = $1',
      [sessionId],
    );
    const before = [await profile(altered[0] ?? ''), await profile(lost[0] ?? '')];
    const { unreadable, complete } = await rewrap(sealerOf('x', 'd'));
    expect(complete).toBe(true);
    expect(unreadable.rows).toBe(3);
    expect(unreadable.first.toSorted((one, other) => (one.id < other.id ? -1 : 1))).toEqual(
      [
        { table: 'entity', column: 'profile', id: altered[0] },
        { table: 'entity', column: 'profile', id: lost[0] },
        { table: 'session_key', column: 'wrapped', id: sessionId },
      ].toSorted((one, other) => (String(one.id) < String(other.id) ? -1 : 1)),
    );
    expect([await profile(altered[0] ?? ''), await profile(lost[0] ?? '')]).toEqual(before);
    expect(await kidsInUse()).toEqual(['d', 'x', 'z']);
    await lab.rows('delete from entity where entity_id = any ($1::uuid[])', [[...altered, ...lost]]);
    await lab.rows('delete from session where session_id = $1', [sessionId]);
    expect(await kidsInUse()).toEqual(['x']);
    await openEverything(lab, sealerOf('x'), media);
  });

  it('is killed in the middle, and goes on where it stopped', async () => {
    const entities = await makeEntities(sealerOf('x'), 4_000);
    const { content, secrets } = ringsOf(['e', 'x']);
    const child = spawn(process.execPath, [
      fileURLToPath(new URL('../support/rewrap-process.ts', import.meta.url)),
      lab.database.url,
      content,
      secrets,
    ]);
    const errors: string[] = [];
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()));
    for await (const line of createInterface(child.stdout)) {
      const { table, done } = JSON.parse(line) as RewrapProgress;
      if (table !== 'entity' || done < 500) continue;
      child.kill('SIGKILL');
      break;
    }
    if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
    expect(errors.join('')).toBe('');
    expect(child.signalCode).toBe('SIGKILL');
    const half = (await keyUsage(lab.tenants)).filter(({ table }) => table === 'entity');
    expect(half.map(({ kid }) => kid)).toEqual(['e', 'x']);
    // Two at once, as when somebody is impatient.
    const outcomes = await Promise.all([rewrap(sealerOf('e', 'x')), rewrap(sealerOf('e', 'x'))]);
    expect(outcomes).toMatchObject([{ complete: true }, { complete: true }]);
    expect(await kidsInUse()).toEqual(['e']);
    await openEverything(lab, sealerOf('e'), media);
    await lab.rows('delete from entity where entity_id = any ($1::uuid[])', [entities]);
  });

  it('names the first of many that no key opens, and counts the others', async () => {
    const entities = await makeEntities(sealerOf('z'), 1_500);
    const { unreadable, complete } = await rewrap(sealerOf('e'));
    expect({ complete, rows: unreadable.rows, named: unreadable.first.length }).toEqual({
      complete: true,
      rows: 1_500,
      named: 20,
    });
    expect(new Set(unreadable.first.map(({ id }) => id)).size).toBe(20);
    await lab.rows('delete from entity where entity_id = any ($1::uuid[])', [entities]);
  });

  it('takes nothing for ours that is not sealed: not a key that signs, not a secret, not a session', async () => {
    const sealer = sealerOf('e');
    const planted = Buffer.alloc(32, 77);
    await lab.rows(
      `insert into signing_key (kid, state, retired_at, sealed) values ('planted', 'retiring', now(), $1)`,
      [Buffer.concat([Buffer.of(0), planted])],
    );
    const secret = await secretOf(sealer);
    await lab.rows(`update webhook_secret set sealed = $2 where destination_id = $1`, [
      secret.destinationId,
      plainJson('c2VjcmV0'),
    ]);
    const { sessionId } = await takeInWithFile(lab, sealer, media);
    await lab.rows('delete from session_key where session_id = $1', [sessionId]);
    for (const table of ['session_check', 'session_home']) {
      const forged = plainJson({ forged: 1 });
      await lab.rows(`update ${table} set payload = $2 where session_id = $1`, [sessionId, forged]);
    }
    const stored = () =>
      lab.rows(
        `select sealed as bytes from signing_key where kid = 'planted'
         union all select sealed from webhook_secret where destination_id = $1
         union all (select payload from session_check where session_id = $2 order by category, position)`,
        [secret.destinationId, sessionId],
      );
    const before = await stored();

    for (const ring of [sealer, sealerOf('f', 'e'), sealerOf('e', 'f')]) {
      const { unreadable, complete } = await rewrap(ring);
      expect(complete).toBe(true);
      expect(unreadable.first).toEqual(
        expect.arrayContaining([
          { table: 'session', column: 'data key', id: sessionId },
          { table: 'webhook_secret', column: 'sealed', id: secret.destinationId },
          { table: 'signing_key', column: 'sealed', id: 'planted' },
        ]),
      );
      expect(unreadable.rows).toBe(3);
    }
    const start = await lab.handoff.acrossTenants('secrets', (tx, sql) =>
      prepareSigningKeys({ tx, sql, sealer, actor: OPERATOR }, null),
    );
    expect(start.unreadable).toEqual(['planted']);
    expect(await resealSecrets(lab.tenants, sealer)).toEqual({
      resealed: 0,
      unreadable: { rows: 1, first: [{ table: 'webhook_secret', column: 'sealed', id: secret.destinationId }] },
    });
    expect(await stored()).toEqual(before);
    const keys = await lab.tenants.acrossTenants('signing_keys', (tx) => loadSigningKeys(tx, sealer));
    expect([...keys.keys()]).not.toContain('planted');
    await expect(verbsWith(lab, sealer).decision(lab.issuer, sessionId)).rejects.toThrow('does not open');

    // Not even the operator's command takes a key that signs.
    await lab.rows('delete from session where session_id = $1', [sessionId]);
    await adopt(sealer);
    expect(await lab.rows(`select sealed from signing_key where kid = 'planted'`)).toEqual([
      { sealed: Buffer.concat([Buffer.of(0), planted]) },
    ]);
    await lab.rows(`delete from signing_key where kid = 'planted'`);
  });

  it('is not what seals what was stored before there was encryption: an operator’s command does, with an event', async () => {
    const sealer = sealerOf('e');
    const { sessionId, bytes } = await takeInWithFile(lab, sealer, media);
    const before = await verbsWith(lab, sealer).decision(lab.issuer, sessionId);
    await makeEverythingPlain(sealer);
    expect([...new Set((await keyUsage(lab.tenants)).map(({ table, state }) => `${state} ${table}`))]).toContain(
      'plain webhook_secret',
    );
    const usage = await keyUsage(lab.tenants);
    expect(usage.find(({ table }) => table === 'session')).toMatchObject({ state: 'plain', kid: null });
    await expect(verbsWith(lab, sealer).decision(lab.issuer, sessionId)).rejects.toThrow('does not open');

    const told = () =>
      lab.rows<{ reason: string }>(
        `select reason, actor_id, application_id from event where type = 'storage.plain_adopted' order by created_at, event_id`,
      );
    const earlier = (await told()).length;
    const outcome = await adopt(sealer);
    expect(outcome).toMatchObject({ unreadable: nothing, complete: true });
    expect(outcome.sessions).toBe(usage.find(({ table }) => table === 'session')?.rows);
    expect(outcome.rows).toBe(
      usage
        .filter(({ table, state }) => table !== 'session' && state === 'plain')
        .reduce((sum, { rows }) => sum + rows, 0),
    );
    const by = { actor_id: 'ada', application_id: PLATFORM_ID };
    expect((await told()).slice(earlier)).toEqual([
      { reason: 'begun', ...by },
      { reason: `sessions=${outcome.sessions} rows=${outcome.rows}`, ...by },
    ]);
    expect(await adopt(sealer)).toEqual({ sessions: 0, rows: 0, unreadable: nothing, complete: true });
    expect(await kidsInUse()).toEqual(['e']);
    const opened = await openEverything(lab, sealer, media);
    expect(opened['files']).toBeGreaterThan(0);
    expect(await verbsWith(lab, sealer).decision(lab.issuer, sessionId)).toEqual(before);
    const [file] = await lab.rows<{ object: string }>(
      'select object_key as object from session_media where session_id = $1',
      [sessionId],
    );
    expect((await media.get(file?.object ?? ''))?.includes(bytes.subarray(8))).toBe(false);
  });

  const plainJson = (value: JsonValue) => Buffer.concat([Buffer.of(0), Buffer.from(JSON.stringify(value))]);

  async function secretOf(sealer: Sealer): Promise<{ readonly destinationId: string }> {
    const made = await lab.tenants.acrossTenants('provision', (sql) =>
      createWebhookDestination(sql, sealer, {
        applicationId: lab.partner.id,
        url: 'https://receiver.example/planted',
        subscribedEvents: ['status.updated'],
      }),
    );
    if (made === null) throw new Error('there is room for a destination');
    return made;
  }

  /** Entities with a profile that a key has sealed; their ids. */
  async function makeEntities(sealer: Sealer, howMany: number): Promise<string[]> {
    const ids = Array.from({ length: howMany }, () => newId());
    const profile = { profile: { full_name: 'Some Body' }, metadata: {} };
    await lab.rows(
      `insert into entity (entity_id, application_id, session_kind, vendor_data, profile)
       select id, $1, 'user', id::text, profile from unnest($2::uuid[], $3::bytea[]) as e(id, profile)`,
      [lab.issuer.id, ids, ids.map((id) => sealer.sealPayload(contentContext(lab.issuer.id, id), profile))],
    );
    return ids;
  }

  /** Puts everything that is stored back to how it was before there was encryption. */
  async function makeEverythingPlain(sealer: Sealer): Promise<void> {
    const plain = (bytes: Buffer) => Buffer.concat([Buffer.of(0), bytes]);
    const sessions = await lab.rows<{
      table: string;
      sessionId: string;
      applicationId: string;
      category: string;
      position: number;
      payload: Buffer;
    }>(
      ['session_check', 'session_home']
        .map(
          (
            table,
          ) => `select '${table}' as table, session_id as "sessionId", application_id as "applicationId", category,
            position, with_key(session_id, payload) as payload from ${table}`,
        )
        .join(' union all '),
    );
    for (const { table, sessionId, applicationId, category, position, payload } of sessions) {
      const place = {
        applicationId,
        sessionId,
        category: table === 'session_home' ? `home:${category}` : category,
        position,
      };
      await lab.rows(`update ${table} set payload = $4 where session_id = $1 and category = $2 and position = $3`, [
        sessionId,
        category,
        position,
        plain(sealer.openBytes(place, payload)),
      ]);
    }
    const files = await lab.rows<{
      sessionId: string;
      applicationId: string;
      mediaId: string;
      object: string;
      keyId: string;
      wrapped: Buffer;
    }>(
      `select m.session_id as "sessionId", m.application_id as "applicationId", m.media_id as "mediaId",
         m.object_key as object, k.key_id as "keyId", k.wrapped
       from session_media m join session_key k using (session_id)`,
    );
    for (const { sessionId, applicationId, mediaId, object, ...key } of files) {
      const stored = await media.get(object);
      if (stored?.[0] === 2) {
        const place = { applicationId, sessionId, category: `media:${mediaId}`, position: 0 };
        await media.put(object, plain(sealer.openBytes(place, stored, key)));
      }
    }
    await lab.rows('delete from token_key');
    await lab.rows('delete from session_key');
    for (const {
      table,
      column,
      key,
      join: more = '',
      applicationId = 't.application_id',
      subject = 'null',
      context,
      neverPlain,
    } of SEALED_COLUMNS) {
      if (neverPlain === true) continue;
      const names = Object.keys(key);
      const rows = await lab.rows<{ id: string[]; applicationId: string; subject: string | null; sealed: Buffer }>(
        `select array[${names.map((name) => `t.${name}::text`).join(', ')}] as id, ${applicationId}::text as "applicationId",
           ${subject}::text as subject, t.${column} as sealed from ${table} t ${more} where t.${column} is not null`,
      );
      for (const row of rows) {
        await lab.rows(
          `update ${table} set ${column} = $1 where ${names.map((name, at) => `${name}::text = $${at + 2}`).join(' and ')}`,
          [plain(sealer.openBytes(context(row), row.sealed)), ...row.id],
        );
      }
    }
  }
});
