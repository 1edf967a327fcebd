import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, inject, it, vi } from 'vitest';
import { createBrands, type Brand } from '../../chaos/brands.ts';
import { createCaller } from '../../chaos/caller.ts';
import { markStem } from '../../chaos/documents.ts';
import type { Member } from '../../chaos/fleet.ts';
import { INVARIANTS } from '../../chaos/invariants/index.ts';
import { openLedger, type Call, type Heard, type Ledger } from '../../chaos/ledger.ts';
import { startPartnerSimulator } from '../../chaos/partner-simulator.ts';
import { underWay, untilQuiet } from '../../chaos/quiet.ts';
import { createRandom } from '../../chaos/random.ts';
import type { Rig } from '../../chaos/rig.ts';
import { look, onboard, share, tokenIdOf, TRESPASS, trespass } from '../../chaos/stories.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();
const folder = mkdtempSync(join(tmpdir(), 'handoff-oracle-'));
let rig: Rig;

/** A small true run: everything real, and nothing broken. */
beforeAll(async () => {
  const ledger = openLedger(join(folder, 'ledger'));
  const partner = await startPartnerSimulator({ ledger, seed: 1 });
  const random = createRandom(1);
  const brands = await createBrands({
    databaseUrl: stack.database.url,
    apiUrl: stack.apiUrl,
    webhookUrl: (id) => partner.urlFor(id),
    random,
    count: 3,
  });
  const servers = () => [stack.apiUrl];
  partner.calm();
  partner.act(brands, servers);
  rig = {
    seed: 1,
    quick: true,
    minutes: null,
    folder,
    random,
    say: () => undefined,
    onEnd: () => undefined,
    env: { TEMPORAL_NAMESPACE: process.env['TEMPORAL_NAMESPACE'] ?? '', ...auditSettings() },
    postgres: { url: stack.database.url } as Rig['postgres'],
    temporal: { address: inject('temporalAddress'), databases: [] } as unknown as Rig['temporal'],
    proxies: {} as Rig['proxies'],
    fleet: { of: () => [{ url: stack.apiUrl } as Member] } as unknown as Rig['fleet'],
    ledger,
    partner,
    brands,
  };
  for (const [file, text] of [
    ['logs/server-1.log', '{"level":30}'],
    ['temporal.db', 'runs'],
    ['postgres/PG_VERSION', '18'],
  ] as const) {
    mkdirSync(join(folder, file, '..'), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  const scene = { caller: createCaller(servers, ledger), random, brands };
  await Promise.all([...Array.from({ length: 10 }, () => onboard(scene)), share(scene), share(scene), share(scene)]);
  await look(scene);
  await trespass(scene);
  await partner.settled();
  expect(await untilQuiet(rig)).toMatchObject({ quiet: true });
  // From here on rows are changed by hand, and nobody mends them.
  await Promise.all([stack.stopWorker('onboarding'), stack.stopWorker('webhooks')]);
});
afterAll(async () => {
  await rig.partner.close();
  rig.ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

function auditSettings(): Record<string, string> {
  const names = ['AUDIT_ANCHORS', 'AUDIT_SIGNING_KEY', 'CONTENT_ENCRYPTION_KEYS'];
  return Object.fromEntries(names.map((name) => [name, stack.env[name] ?? '']));
}

/** Breaks that one invariant finds, when the ledger is as given. */
async function breaksOf(id: string, lies: Partial<Pick<Ledger, 'calls' | 'heard'>> = {}): Promise<readonly string[]> {
  const invariant = INVARIANTS.find((one) => one.id === id);
  if (invariant === undefined) throw new Error(`there is no ${id}`);
  return (await invariant.check({ ...rig, ledger: { ...rig.ledger, ...lies } })).breaks;
}

const withCall = (call: Call) => ({ calls: [...rig.ledger.calls, call] });
const withHeard = (heard: Heard) => ({ heard: [...rig.ledger.heard, heard] });

function first<T>(all: readonly T[], wanted: (one: T) => boolean): T {
  const found = all.find(wanted);
  if (found === undefined) throw new Error('the true run has nothing of this kind');
  return found;
}
/** The call of the true run that was granted, as one that was refused. */
const refusedAs = (call: Call, code: string, body = {}) =>
  withCall({ ...call, status: 409, replayed: false, body: { code, ...body } });
const callOf = (wish: string) => first(rig.ledger.calls, (call) => call.wish === wish && (call.status ?? 500) < 300);
const heardOf = (type: string) => first(rig.ledger.heard, ({ rawBody }) => rawBody.includes(`"${type}"`));
const brandOf = (id: string): Brand => first(rig.brands, (brand) => brand.id === id);
const otherThan = (id: string): Brand => first(rig.brands, (brand) => brand.id !== id);
const said = (heard: Heard) => JSON.parse(heard.rawBody) as Record<string, string>;

/** A granted call about a token that was imported, and whose sessions are there still. */
async function callOfImport(wish: string): Promise<Call> {
  const { rows } = await stack.database.pool.query<{ id: string }>(
    `select r.token_id as id from redemption r join session s on s.session_id = r.session_id
     join session o on o.session_id = r.source_session_id`,
  );
  const living = new Set<string | null>(rows.map(({ id }) => id));
  return first(
    rig.ledger.calls,
    (call) => call.wish === wish && call.status !== null && call.status < 300 && living.has(call.tokenId),
  );
}

/** Changes rows as nothing of ours could: past references and triggers. Resolves to their number. */
async function change(sql: string, values: readonly unknown[] = []): Promise<number> {
  const client = await stack.database.pool.connect();
  try {
    await client.query('set session_replication_role = replica');
    return (await client.query(sql, [...values])).rowCount ?? 0;
  } finally {
    client.release(true);
  }
}

it('of a true run every invariant holds, and has looked at something', async () => {
  for (const invariant of INVARIANTS) {
    const { breaks, looked } = await invariant.check(rig);
    expect([invariant.id, ...breaks]).toEqual([invariant.id]);
    expect(looked, invariant.id).toMatch(/[1-9]/);
  }
});

// First of all: what the others change by hand is not as it was sealed.
it('the chain tells of an event that is not as it was sealed', async () => {
  const { event_id: eventId = '' } = said(heardOf('share.minted'));
  await change('update event set sequence = sequence + 1 where event_id = $1', [eventId]);
  expect(await breaksOf('chain')).toEqual([expect.stringMatching(`event_altered: .*${eventId}`)]);
  await change('update event set sequence = sequence - 1 where event_id = $1', [eventId]);
  expect(await breaksOf('chain')).toEqual([]);
});

it('I1 tells of a second success, and of a second living import', async () => {
  const call = callOf('import');
  const again = await breaksOf('I1', withCall({ ...call, idempotencyKey: randomUUID() }));
  expect(again).toEqual([expect.stringMatching(`token ${call.tokenId}: 2 callers .* of 1 sessions`)]);
  const other = await breaksOf('I1', withCall({ ...call, body: { session_id: randomUUID() } }));
  expect(other).toEqual([expect.stringMatching(`token ${call.tokenId}: .* of 2 sessions`)]);
  const clone = first(
    (
      await stack.database.pool.query<{ session_id: string; source: string }>(
        'select session_id, shared_from_session as source from session where shared_from_session is not null',
      )
    ).rows,
    () => true,
  );
  await change(
    `insert into session select (jsonb_populate_record(s,
       jsonb_build_object('session_id', gen_random_uuid(), 'session_number', 1000000 + session_number))).*
     from session s where session_id = $1`,
    [clone.session_id],
  );
  expect(await breaksOf('I1')).toEqual([expect.stringMatching(`2 living imports of source ${clone.source}`)]);
  await change('delete from session where session_number >= 1000000');
});

it('I1 tells of an ask that was granted twice', async () => {
  for (const [wish, body] of [
    ['take-in', { session_id: randomUUID() }],
    ['onboard', { token_id: randomUUID() }],
    ['mint', { share_token: `a.${Buffer.from(JSON.stringify({ jti: randomUUID() })).toString('base64url')}.c` }],
  ] as const) {
    const call = callOf(wish);
    expect(await breaksOf('I1', withCall(call))).toEqual([]);
    expect(await breaksOf('I1', withCall({ ...call, body }))).toEqual([
      expect.stringContaining(`${wish} by ${call.as} under key ${call.idempotencyKey} made 2`),
    ]);
  }
});

it('I1 tells of a second onboarding of a session, and of a token that nobody asked for', async () => {
  const again = randomUUID();
  const opened = String(callOf('onboard').body?.['token_id']);
  const minted = tokenIdOf(String(callOf('mint').body?.['share_token']));
  for (const [table, tokenId, problem] of [
    ['onboarding', opened, '2 onboardings were opened of session'],
    ['share_token', minted, /\d tokens were minted of session .*, and \d asked for/],
  ] as const) {
    await change(
      `insert into ${table}
       select (jsonb_populate_record(t, jsonb_build_object('token_id', $2::text))).* from ${table} t where token_id = $1`,
      [tokenId, again],
    );
    expect(await breaksOf('I1')).toEqual([expect.stringMatching(problem)]);
    await change(`delete from ${table} where token_id = $1`, [again]);
  }
});

it('I2 tells of what was told and is lost, or reads otherwise', async () => {
  const taken = callOf('take-in');
  const told = { ...taken, body: { ...taken.body, status: 'Expired' } };
  const calls = rig.ledger.calls.map((call) => (call === taken ? told : call));
  expect(await breaksOf('I2', { calls })).toEqual([expect.stringMatching('reads otherwise now .*: status')]);
  const lost = { ...taken, body: { ...taken.body, session_id: randomUUID() } };
  expect(await breaksOf('I2', withCall(lost))).toContainEqual(expect.stringContaining('stored is none'));
  const opened = callOf('onboard');
  const ended = { ...opened, body: { ...opened.body, status: 'rejected' } };
  expect(await breaksOf('I2', withCall(ended))).toEqual([expect.stringContaining('was told rejected; stored is')]);
  const imported = callOf('import');
  const forged = { ...imported, tokenId: randomUUID() };
  expect(await breaksOf('I2', withCall(forged))).toEqual([expect.stringContaining('stored is undefined')]);
  const minted = callOf('mint');
  const claims = Buffer.from(JSON.stringify({ jti: randomUUID() })).toString('base64url');
  const unknown = { ...minted, body: { share_token: `a.${claims}.c` } };
  expect(await breaksOf('I2', withCall(unknown))).toEqual([expect.stringContaining('stored is undefined')]);
});

it('I2 tells of a refusal that nothing bears out', async () => {
  const imported = await callOfImport('import');
  const early = { ...imported, at: imported.at - 60_000, ms: 0 };
  const minted = { ...imported, at: 0, ms: 0 };
  const taken = callOf('take-in');
  const own = { ...taken, method: 'GET', path: `/v3/session/${String(taken.body?.['session_id'])}/decision/` };
  const acknowledged = await callOfImport('acknowledge');
  const lies: [Call, string, object?][] = [
    [early, 'already_imported'],
    [imported, 'already_imported', { existing_session_id: randomUUID() }],
    [{ ...imported, tokenId: randomUUID() }, 'already_imported'],
    [minted, 'share_token_expired'],
    [imported, 'share_token_revoked'],
    [imported, 'share_token_not_for_this_application'],
    [imported, 'source_session_gone'],
    [imported, 'resource_deleted'],
    [acknowledged, 'onboarding_ended', { status: 'refused' }],
    [acknowledged, 'onboarding_ended', { status: 'expired' }],
    [own, 'session_not_found'],
  ];
  for (const [call, code, body] of lies) {
    const breaks = await breaksOf('I2', refusedAs(call, code, body));
    expect(breaks, code).toEqual([expect.stringContaining(`was refused as ${code}, and nothing stored bears it out`)]);
  }
  const truths: [Call, string, object?][] = [
    [imported, 'already_imported', { existing_session_id: imported.body?.['session_id'] }],
    [{ ...imported, at: imported.at + 3_600_000 }, 'share_token_expired'],
    [{ ...imported, as: otherThan(imported.as).id }, 'share_token_not_for_this_application'],
    [acknowledged, 'onboarding_ended', { status: 'imported' }],
    [{ ...own, as: otherThan(own.as).id }, 'session_not_found'],
  ];
  for (const [call, code, body] of truths) expect(await breaksOf('I2', refusedAs(call, code, body)), code).toEqual([]);
});

it('I2 tells of an onboarding that ended as nobody asked, whatever the partner was told', async () => {
  const acknowledged = await callOfImport('acknowledge');
  const { tokenId, as } = acknowledged;
  const row = [tokenId];
  await change(`update onboarding set status = 'revoked', reason = 'run_failed' where token_id = $1`, row);
  const lost = `onboarding ${tokenId} is revoked (run_failed), and no client asked for it`;
  const revoke: Call = { ...acknowledged, wish: 'revoke', as: otherThan(as).id, status: null, body: null };
  expect(await breaksOf('I2')).toContain(lost);
  expect(await breaksOf('I2', withCall(revoke))).toContain(lost);
  expect(await breaksOf('I8')).toContain(`onboarding ${tokenId} was closed as run_failed: its run was lost`);
  for (const [status, reason, wish] of [
    ['revoked', 'revoked_by_issuer', 'revoke'],
    ['refused', 'refused_by_partner', 'decline'],
  ]) {
    await change('update onboarding set status = $2, reason = $3 where token_id = $1', [tokenId, status, reason]);
    expect(await breaksOf('I2')).toContain(
      `onboarding ${tokenId} is ${status} (${reason}), and no client asked for it`,
    );
    const explained = await breaksOf('I2', withCall({ ...revoke, wish: String(wish) }));
    expect(explained).not.toContainEqual(expect.stringContaining('no client asked for it'));
  }
  await change(`update onboarding set status = 'rejected', reason = 'source_session_gone' where token_id = $1`, row);
  expect(await breaksOf('I2')).toContainEqual(expect.stringContaining('is rejected (source_session_gone)'));
  await change(`update onboarding set status = 'expired', reason = null where token_id = $1`, row);
  expect(await breaksOf('I2')).toContain(`onboarding ${tokenId} was acknowledged, and is expired`);
  expect(await breaksOf('I8')).toContainEqual(
    expect.stringContaining(`onboarding ${tokenId} is expired, and its rows`),
  );
  await change(`update onboarding set status = 'imported' where token_id = $1`, row);
  expect(await breaksOf('I2')).toEqual([]);
});

it('I2 tells of an import that no partner asked for', async () => {
  const { tokenId, as } = await callOfImport('acknowledge');
  const accepts = (acceptance: string) =>
    change('update onboarding set acceptance = $2 where token_id = $1', [tokenId, acceptance]);
  const silent = rig.ledger.calls.filter((call) => call.tokenId !== tokenId);
  const stolen = `onboarding ${tokenId} is imported (without a reason), and no client asked for it`;
  await accepts('acknowledge');
  expect(await breaksOf('I2', { calls: silent })).toEqual([stolen]);
  const word = { ...callOf('acknowledge'), tokenId, as, status: 400, body: null, unexpected: null };
  const told = (call: Partial<Call>) => breaksOf('I2', { calls: [...silent, { ...word, ...call }] });
  expect(await told({})).toEqual([stolen]);
  expect(await told({ status: null, as: otherThan(as).id })).toEqual([stolen]);
  expect(await told({ status: null })).toEqual([]);
  expect(await told({ status: null, wish: 'import' })).toEqual([]);
  await accepts('automatic');
  expect(await breaksOf('I2', { calls: silent })).toEqual([]);
  await accepts('acknowledge');
});

it('I2 tells of a token without an onboarding that nobody asked to redeem', async () => {
  const { rows } = await stack.database.pool.query<{ id: string }>(
    'select token_id as id from redemption where token_id not in (select token_id from onboarding)',
  );
  const plain = new Set<string | null>(rows.map(({ id }) => id));
  const { tokenId, as } = first(rig.ledger.calls, (call) => call.wish === 'import' && plain.has(call.tokenId));
  const unasked = rig.ledger.calls.filter((call) => call.tokenId !== tokenId);
  expect(await breaksOf('I2', { calls: unasked })).toEqual([
    `token ${tokenId} was redeemed for ${as}, which never asked for it`,
  ]);
});

it('I2 tells of an import whose session is not the partner’s, and of one that a side was never told of', async () => {
  const { tokenId } = await callOfImport('acknowledge');
  const { rows } = await stack.database.pool.query<{ session: string; partner: string; issuer: string }>(
    `select r.session_id as session, r.partner_id as partner, r.issuer_id as issuer from redemption r where token_id = $1`,
    [tokenId],
  );
  const { session, partner, issuer } = first(rows, () => true);
  const other = randomUUID();
  const rename = 'update redemption set session_id = $2 where token_id = $1';
  await change(rename, [tokenId, other]);
  expect(await breaksOf('I2')).toEqual(
    expect.arrayContaining([
      `token ${tokenId} made session ${other} of ${partner}; stored is none`,
      `token ${tokenId} made session ${other}; its onboarding names ${session}`,
    ]),
  );
  await change(rename, [tokenId, session]);
  const retype = 'update event set type = $3 where token_id = $1 and application_id = $2 and type = $4';
  for (const side of [issuer, partner]) {
    await change(retype, [tokenId, side, 'share.expired', 'share.imported']);
    expect(await breaksOf('I2')).toEqual([`the import by token ${tokenId} was never told to ${side}`]);
    await change(retype, [tokenId, side, 'share.imported', 'share.expired']);
  }
  expect(await breaksOf('I2')).toEqual([]);
});

it('I3 tells of an event that was lost, is still under way, or arrived by the log alone', async () => {
  const { event_id: eventId = '' } = said(heardOf('share.minted'));
  const heard = rig.ledger.heard.filter(({ rawBody }) => !rawBody.includes(eventId));
  expect(await breaksOf('I3', { heard })).toEqual([expect.stringContaining('and never arrived')]);
  await change(`update delivery set state = 'retrying', ended_at = null where event_id = $1`, [eventId]);
  expect(await breaksOf('I3')).toEqual([expect.stringContaining(`${eventId} for`)]);
  for (const [state, reason, problem] of [
    ['exhausted', 'http_500', 'ended as exhausted (http_500)'],
    ['gone', 'gone', 'ended as gone (gone)'],
    ['stopped', null, 'the log does not say why'],
    ['stopped', 'share_ended', 'was stopped as share_ended'],
    ['stopped', 'session_deleted', 'and its session is there'],
    ['held', 'http_500', 'its destination is switched on'],
  ]) {
    const given = [eventId, state, reason];
    await change(
      'update delivery set state = $2, last_reason = $3, ended_at = handoff_now() where event_id = $1',
      given,
    );
    expect(await breaksOf('I3')).toEqual([expect.stringContaining(String(problem))]);
  }
  const one = [first(rig.brands, () => true).destinationId];
  for (const [off, on, how] of [
    ['enabled = false', 'enabled = true', 'switched off'],
    [`disabled_reason = 'failing'`, 'disabled_reason = null', 'failing'],
    ['deleted_at = handoff_now()', 'deleted_at = null', 'deleted'],
  ]) {
    await change(`update webhook_destination set ${off} where destination_id = $1`, one);
    expect(await breaksOf('I3')).toContain(`destination ${one[0]} is ${how}, and nobody asked for it`);
    await change(`update webhook_destination set ${on} where destination_id = $1`, one);
  }
  await change(`update delivery set destination_id = gen_random_uuid() where event_id = $1`, [eventId]);
  expect(await breaksOf('I3')).toEqual([expect.stringContaining('has no delivery')]);
  await change(
    `update delivery v set destination_id = d.destination_id, state = 'delivered' from webhook_destination d
     where event_id = $1 and d.application_id = v.application_id`,
    [eventId],
  );
  expect(await breaksOf('I3')).toEqual([]);
});

it('I3 tells of a share that was stopped without one attempt, and of one that was never sent', async () => {
  const { event_id: eventId = '', token_id: tokenId = '' } = said(
    first(rig.ledger.heard, ({ rawBody }) => rawBody.includes('"share_token"')),
  );
  const share = [tokenId];
  const moved = `update delivery set delivery_id = $2 where event_id = $1 returning delivery_id`;
  const { rows } = await stack.database.pool.query<{ id: string }>(
    'select delivery_id as id from delivery where event_id = $1',
    [eventId],
  );
  await change(`update delivery set state = 'stopped', last_reason = 'http_500' where event_id = $1`, [eventId]);
  expect(await breaksOf('I3')).toEqual([]);
  await change(`update onboarding set status = 'imported', reason = null where token_id = $1`, share);
  await change(moved, [eventId, randomUUID()]);
  expect(await breaksOf('I3')).toEqual([expect.stringContaining(`${eventId} for`)]);
  expect(await breaksOf('I3')).toEqual([expect.stringContaining('was never tried')]);
  await change(`update onboarding set status = 'revoked' where token_id = $1`, share);
  expect(await breaksOf('I3')).toEqual([]);
  await change(`update onboarding set status = 'undeliverable', reason = 'no_destination' where token_id = $1`, share);
  expect(await breaksOf('I3')).toContainEqual(expect.stringContaining('is undeliverable (no_destination)'));
  await change(`update share_token set expires_at = issued_at + interval '1 minute' where token_id = $1`, share);
  expect(await breaksOf('I3')).not.toContainEqual(expect.stringContaining('without one attempt'));
  await change(`update share_token set expires_at = issued_at + interval '15 minutes' where token_id = $1`, share);
  expect(await breaksOf('I3')).toContainEqual(expect.stringContaining('lived for minutes without one attempt'));
  await change(`update onboarding set ended_at = null where token_id = $1`, share);
  await change(`update share_token set expires_at = handoff_now() + interval '1 hour' where token_id = $1`, share);
  expect(await breaksOf('I3')).toContainEqual(expect.stringContaining('was stopped while its token lives'));
  await change(`update delivery set state = 'pending', ended_at = null where event_id = $1`, [eventId]);
  expect(await breaksOf('I3')).toContainEqual(expect.stringContaining('was never tried'));
  await change(moved, [eventId, rows[0]?.id]);
  await change(`update onboarding set status = 'waiting', reason = null where token_id = $1`, share);
  expect(await breaksOf('I3')).toEqual([]);
  for (const [next, deliveries] of [
    ['1 minute', 0],
    ['20 minutes', 1],
    ['-1 minute', 1],
  ]) {
    await change(`update delivery set next_at = handoff_now() + $2::interval where event_id = $1`, [eventId, next]);
    expect(await underWay(rig), String(next)).toMatchObject({ deliveries });
  }
  await change(`update event set token_id = null where event_id = $1`, [eventId]);
  expect(await breaksOf('I3')).toContain(`onboarding ${tokenId} is waiting, and its partner was never sent a token`);
});

it('I4 tells of a delivery without an event, without its attempt, or at somebody else’s', async () => {
  const heard = heardOf('status.updated');
  const { event_id: eventId = '' } = said(heard);
  const unknown = { ...heard, rawBody: heard.rawBody.replace(eventId, randomUUID()) };
  expect(await breaksOf('I4', { heard: [unknown] })).toEqual([expect.stringContaining('no committed event')]);
  const unasked = { ...heard, headers: { ...heard.headers, 'webhook-attempt': '9' } };
  expect(await breaksOf('I4', { heard: [unasked] })).toEqual([expect.stringContaining('attempt 9')]);
  const astray = { ...heard, as: otherThan(heard.as).id };
  expect(await breaksOf('I4', { heard: [astray] })).toEqual([expect.stringContaining('is addressed to')]);
});

it('I5 tells of each signature that is wrong, and of a time that is', async () => {
  const heard = heardOf('status.updated');
  const changed = { ...heard, rawBody: heard.rawBody.replace('"sandbox"', '"sandbax"') };
  const problems = ['wrong webhook-signature', 'wrong x-signature-v2', 'wrong x-signature'];
  expect(await breaksOf('I5', { heard: [changed] })).toEqual(problems.map((text) => expect.stringContaining(text)));
  const late = { ...heard, at: heard.at + 400_000 };
  expect(await breaksOf('I5', { heard: [late] })).toEqual([expect.stringContaining('s before it came')]);
  const respelt = { ...heard, rawBody: heard.rawBody.replace('{', '{ ') };
  expect(await breaksOf('I5', { heard: [respelt] })).toEqual([
    expect.stringContaining('wrong webhook-signature'),
    expect.stringMatching('wrong x-signature$'),
  ]);
});

it('I6 tells of a duplicate under another id, or with another body', async () => {
  const heard = heardOf('status.updated');
  const renamed = { ...heard, headers: { ...heard.headers, 'webhook-id': 'evt_other' } };
  expect(await breaksOf('I6', withHeard(renamed))).toEqual([expect.stringContaining('2 webhook-ids')]);
  const reworded = { ...heard, rawBody: heard.rawBody.replace('"sandbox"', '"live"') };
  expect(await breaksOf('I6', withHeard(reworded))).toEqual([expect.stringContaining('2 different bodies')]);
});

it('I7 tells of a number that was skipped, that differs, or whose state is not the newest', async () => {
  // The newest word of a session that is still there: others may have been deleted, or told of again.
  const { rows } = await stack.database.pool.query<{ id: string }>(
    `select distinct on (e.session_id, e.application_id) e.event_id as id from event e
     join session s on s.session_id = e.session_id and s.application_id = e.application_id
     where e.type in ('status.updated', 'data.updated') and e.sequence is not null
     order by e.session_id, e.application_id, e.sequence desc`,
  );
  const newest = new Set(rows.map(({ id }) => id));
  const heard = first(
    rig.ledger.heard,
    (one) => one.rawBody.includes('"status.updated"') && newest.has(said(one)['event_id'] ?? ''),
  );
  const { event_id: eventId = '', session_id: sessionId = '' } = said(heard);
  const misnumbered = { ...heard, rawBody: heard.rawBody.replace(/"sequence":\d+/, '"sequence":77') };
  expect(await breaksOf('I7', withHeard(misnumbered))).toContainEqual(expect.stringContaining(`${eventId} said 77`));
  await change(`update session set status = 'Kyc Expired' where session_id = $1`, [sessionId]);
  expect(await breaksOf('I7')).toEqual([expect.stringContaining(`session ${sessionId}: the newest word`)]);
  await change(`update event set sequence = sequence + 5 where event_id = $1`, [eventId]);
  expect(await breaksOf('I7')).toContainEqual(expect.stringContaining('is numbered'));
});

it('I9 tells of a document that was shown to somebody who has not imported it, or not yet', async () => {
  const taken = callOf('take-in');
  const stranger = first(rig.brands, ({ id }) => id !== taken.as);
  const unknown = { ...taken.body, metadata: { note: `${markStem(brandOf(taken.as))}0123456789ab` } };
  const shown = { ...taken, wish: 'read-session', as: stranger.id, body: unknown };
  expect(await breaksOf('I9', withCall(shown))).toContainEqual(
    expect.stringContaining(`showed ${stranger.id} a document of ${taken.as}`),
  );
  const imported = callOf('import');
  const early = { ...imported, wish: 'list', at: imported.at - 60_000, ms: 0 };
  expect(await breaksOf('I9', withCall(early))).toContainEqual(expect.stringContaining('before its import'));
});

it('I9 tells of whoever was let in at what is another’s, and of a token that another one redeemed', async () => {
  const tried = first(rig.ledger.calls, ({ wish }) => wish === TRESPASS);
  expect(tried).toMatchObject({ status: 404, unexpected: null, body: { code: 'session_not_found' } });
  expect(await breaksOf('I9', withCall({ ...tried, status: 200, body: {} }))).toEqual([
    `${tried.as} was let in at ${tried.path}, which is not its own`,
  ]);
  const { tokenId, as, body } = await callOfImport('import');
  const { rows } = await stack.database.pool.query<{ issuer: string }>(
    'select issuer_id as issuer from share_token where token_id = $1',
    [tokenId],
  );
  const thief = first(rig.brands, ({ id }) => id !== as && id !== rows[0]?.issuer).id;
  await change('update redemption set partner_id = $2 where token_id = $1', [tokenId, thief]);
  const stolen = `${thief} imported by token ${tokenId}, which is for ${as}`;
  expect(await breaksOf('I9')).toEqual([stolen]);
  await change('update redemption set partner_id = $2 where token_id = $1', [tokenId, as]);
  // Under a number that the thief has not given.
  const move = `update session set application_id = $2, session_number = session_number + $3 where session_id = $1`;
  await change(move, [body?.['session_id'], thief, 1_000_000]);
  expect(await breaksOf('I9')).toEqual([stolen]);
  await change(move, [body?.['session_id'], as, -1_000_000]);
  expect(await breaksOf('I9')).toEqual([]);
});

it('I10 tells of a mark in a file, in a table and in bytes, and of nothing to look at', async () => {
  const stem = markStem(first(rig.brands, () => true));
  const log = join(folder, 'logs', 'server-2.log');
  writeFileSync(log, Buffer.from(`{"level":30,"name":"${stem}aa"}`).toString('base64'));
  expect(await breaksOf('I10')).toEqual([expect.stringContaining(`${log} holds customers of`)]);
  const brand = first(rig.brands, () => true);
  const token = String(
    said(first(rig.ledger.heard, ({ rawBody }) => rawBody.includes('"share_token"')))['share_token'],
  );
  for (const [text, name] of [
    [token, 'a share token'],
    [brand.secrets.secret_standard_webhooks, `the webhook secret of ${brand.id}`],
  ]) {
    writeFileSync(log, `{"level":30,"text":"${text}"}`);
    expect(await breaksOf('I10')).toEqual([`${log} holds ${name}`]);
  }
  rmSync(log);
  await change(
    'update session set vendor_data = $1 where session_id = (select min(session_id::text)::uuid from session)',
    [stem],
  );
  const inTable = expect.stringContaining('table session holds customers of');
  expect(await breaksOf('I10')).toEqual([inTable]);
  const { temporal } = rig;
  rig = { ...rig, temporal: { ...temporal, databases: [stack.database.url] } };
  expect(await breaksOf('I10')).toEqual([inTable, inTable, expect.stringContaining('no file of Temporal')]);
  rig = { ...rig, temporal };
  await change('update session set vendor_data = null where vendor_data = $1', [stem]);
  rmSync(join(folder, 'temporal.db'));
  expect(await breaksOf('I10')).toEqual([expect.stringContaining('no file of Temporal')]);
});

it('I8 and I11 tell of rows and runs that are at odds, that wait for nothing, and that do not replay', async () => {
  // Temporal tells at length of what is brought about here.
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const [tokenId, other, third = ''] = (
    await stack.database.pool.query<{ id: string }>(
      `select token_id as id from onboarding where status = 'imported' order by 1`,
    )
  ).rows.map(({ id }) => id);
  await change(`update onboarding set ended_at = null, status = 'waiting' where token_id = $1`, [tokenId]);
  await change(`delete from redemption where token_id = $1`, [other]);
  await change(`update share_token set closed_at = null, closed_as = null where token_id = $1`, [other]);
  const connection = await NativeConnection.connect({ address: inject('temporalAddress') });
  const namespace = process.env['TEMPORAL_NAMESPACE'] ?? '';
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: 'odd',
    workflowsPath: fileURLToPath(new URL('./odd-workflows.ts', import.meta.url)),
  });
  const { workflow } = stack.handoff.temporal;
  const stuck = randomUUID();
  await worker.runUntil(async () => {
    await workflow.execute('PartnerOnboarding', { taskQueue: 'odd', workflowId: randomUUID() });
    const handle = await workflow.start('WaitsForNothing', { taskQueue: 'odd', workflowId: stuck });
    const isWaiting = async () =>
      (await handle.fetchHistory()).events?.some((event) => event.workflowTaskCompletedEventAttributes != null) ===
      true;
    await expect.poll(isWaiting, { timeout: 10_000 }).toBe(true);
  });
  await connection.close();
  // By hand, where no worker is: beside a row that has ended.
  await workflow.start('PartnerOnboarding', { taskQueue: 'nobody', workflowId: third });
  // The list is a little behind.
  await expect
    .poll(() => breaksOf('I8'), { timeout: 10_000, interval: 500 })
    .toContainEqual(`WaitsForNothing ${stuck} is open and waits for nothing`);
  const breaks = await breaksOf('I8');
  expect(breaks).toContainEqual(expect.stringContaining(`onboarding ${tokenId} is open, and has no open run`));
  expect(breaks).toContainEqual(expect.stringContaining(`token ${other} has ended, and is open`));
  await expect
    .poll(() => breaksOf('I8'), { timeout: 10_000, interval: 500 })
    .toContainEqual(`PartnerOnboarding ${third} is open, and its row is ended`);
  expect(await breaksOf('I11')).toContainEqual(expect.stringContaining('TMPRL1100'));
  await Promise.all([stuck, third].map((id) => workflow.getHandle(id).terminate()));
  await expect
    .poll(() => breaksOf('I8'), { timeout: 10_000, interval: 500 })
    .toEqual(
      expect.arrayContaining([
        `PartnerOnboarding ${third} ended as terminated`,
        `WaitsForNothing ${stuck} ended as terminated`,
      ]),
    );
  vi.restoreAllMocks();
});

it('an answer that nothing explains is told', async () => {
  const call = { ...callOf('take-in'), status: 500, unexpected: '500 internal_error' };
  expect(await breaksOf('answers', withCall(call))).toEqual([expect.stringContaining('500 internal_error')]);
});
