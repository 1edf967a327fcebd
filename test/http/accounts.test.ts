import { Writable } from 'node:stream';
import pino from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { signShareToken } from '../../src/crypto/share-token.ts';
import type { Mailer } from '../../src/accounts/ports.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { KEYS, testApi, textOf } from './api.ts';
import {
  callAs,
  codeOf,
  FOR_PEOPLE,
  newAddress,
  newEmail,
  newIdempotencyKey,
  newPerson,
  otherCode,
  PASSWORD,
} from './people.ts';

const lines: string[] = [];
const sink = new Writable({
  write: (chunk: Buffer, _encoding, done) => {
    lines.push(chunk.toString());
    done();
  },
});
const api = testApi({ ...FOR_PEOPLE, logger: pino({ level: 'trace' }, sink) });
afterEach(() => resetClock(api.database.pool));

const register = (email: string, password: unknown = PASSWORD, headers = {}) =>
  callAs(api, 'register', { email, password }, headers);
const verify = (email: string, code: string, headers = {}, password?: string) =>
  callAs(api, 'verify-email', { email, code, password }, headers);
const resend = (email: string, headers = {}) => callAs(api, 'resend-otp', { email }, headers);
const logIn = (email: string, password: string = PASSWORD, headers = {}) =>
  callAs(api, 'login', { email, password }, headers);
const refresh = (token: string, headers = {}) => callAs(api, 'refresh', { refresh_token: token }, headers);
const me = (accessToken: string, scheme = 'Bearer') =>
  api.call(null, 'GET', '/auth/v2/organizations/me/', undefined, { authorization: `${scheme} ${accessToken}` });
const changes = async (work: () => Promise<unknown>) => {
  const before = await api.rows();
  await work();
  const after = await api.rows();
  return Object.fromEntries(
    Object.entries(after)
      .filter(([table, count]) => count !== before[table] && table !== 'rate_limit_window')
      .map(([table, count]) => [table, count - (before[table] ?? 0)]),
  );
};
const REFUSED_CODE = { status: 400, body: { code: 'one_time_code_invalid' } };

describe('registering', () => {
  it('answers 201 and makes an account that has nothing yet', async () => {
    const email = newEmail();
    const made = await changes(async () => {
      expect(await register(email)).toMatchObject({
        status: 201,
        body: { message: 'A code to verify this address is on its way.', email },
      });
    });
    expect(made).toEqual({ account: 1, one_time_code: 1, email_throttle: 1, event: 1, audit_unsealed: 1 });
    expect(await codeOf(api, email)).toMatch(/^[2-9A-HJ-NP-Z]{6}$/);
  });

  it.each([
    ['short', 'Aa1!', 'at least 8 characters'],
    ['without an upper-case letter', 'correct-horse-7', 'uppercase'],
    ['without a lower-case letter', 'CORRECT-HORSE-7', 'lowercase'],
    ['without a digit', 'Correct-Horse', 'digit'],
    ['without a special character', 'CorrectHorse7', 'special'],
    ['endless', `Aa1!${'x'.repeat(200)}`, 'no more than 128'],
    ['no text', 12345678, 'Not a valid string'],
  ])('refuses a password that is %s, with one rule at a time', async (_what, password, sentence) => {
    const { status, body } = await register(newEmail(), password);
    expect({ status, code: body['code'] }).toEqual({ status: 400, code: 'invalid_request' });
    expect(body['password']).toEqual([expect.stringContaining(sentence)]);
  });

  it.each([
    '',
    'ada',
    'ada@',
    '@aurora.example',
    'ada@aurora.example, eve@aurora.example',
    'ada@aurora\r\nBcc: eve@x.io',
  ])('refuses the address %j', async (email) => {
    const { status, body } = await register(email);
    expect({ status, code: body['code'] }).toEqual({ status: 400, code: 'invalid_request' });
    expect(body).toHaveProperty('email');
  });

  it('takes 5 an hour from one network address, whatever comes before the address', async () => {
    const from = { 'x-forwarded-for': newAddress() };
    for (let sent = 0; sent < 5; sent += 1) expect((await register(newEmail(), PASSWORD, from)).status).toBe(201);
    // What is refused for its fields costs nothing.
    expect((await register('ada', PASSWORD, from)).status).toBe(400);
    const sixth = await register(newEmail(), PASSWORD, from);
    expect(sixth).toMatchObject({ status: 429, body: { code: 'rate_limited' } });
    expect(Number(sixth.headers['retry-after'])).toBeGreaterThan(0);
    expect((await register(newEmail())).status).toBe(201);
  });

  it('answers the same for an address that has an account, and changes nothing of it', async () => {
    const { email } = await newPerson(api);
    await shiftClock(api.database.pool, '2 minutes');
    const made = await changes(async () => {
      expect(await register(email.toUpperCase(), 'Another-Horse-8')).toMatchObject({
        status: 201,
        body: { message: 'A code to verify this address is on its way.' },
      });
    });
    expect(made).toEqual({});
    expect((await logIn(email)).status).toBe(200);
    expect((await logIn(email, 'Another-Horse-8')).status).toBe(401);
  });

  it('again with the same password replaces the code, and nothing within a minute', async () => {
    const email = newEmail();
    await register(email);
    const first = await codeOf(api, email);
    expect((await register(email.toUpperCase())).status).toBe(201);
    expect(await codeOf(api, email)).toBe(first);
    await shiftClock(api.database.pool, '61 seconds');
    expect((await register(email)).status).toBe(201);
    expect(await verify(email, first)).toMatchObject(REFUSED_CODE);
    expect((await verify(email, await codeOf(api, email))).status).toBe(200);
    expect((await logIn(email)).status).toBe(200);
  });

  it.each([
    ['first, and within a minute', ['Attacker-Horse-6', PASSWORD], '0 seconds'],
    ['first, and after a minute', ['Attacker-Horse-6', PASSWORD], '61 seconds'],
    ['last, and within a minute', [PASSWORD, 'Attacker-Horse-6'], '0 seconds'],
    ['last, and after a minute', [PASSWORD, 'Attacker-Horse-6'], '61 seconds'],
    ['in between', [PASSWORD, 'Attacker-Horse-6', PASSWORD], '61 seconds'],
  ])('by somebody else, %s, gives nobody but the owner of the address a password', async (_when, each, between) => {
    const email = newEmail();
    const answers = [];
    for (const password of each) {
      answers.push((await register(email, password)).body);
      await shiftClock(api.database.pool, between);
    }
    expect(new Set(answers.map((body) => JSON.stringify(body))).size).toBe(1);
    for (const password of each) expect((await logIn(email, password)).status).toBe(401);
    const code = await codeOf(api, email);
    const contested = await verify(email, code);
    expect({ status: contested.status, code: contested.body['code'] }).toEqual({
      status: 400,
      code: 'invalid_request',
    });
    expect(contested.body['password']).toEqual([expect.stringContaining('several passwords')]);
    // Who does not read the mail learns nothing.
    expect(await verify(email, otherCode(code))).toMatchObject(REFUSED_CODE);
    expect((await verify(email, otherCode(code), {}, PASSWORD)).body).toMatchObject(REFUSED_CODE.body);
    expect((await verify(email, code, {}, 'short')).body).toHaveProperty('password');
    expect((await verify(email, code, {}, PASSWORD)).status).toBe(200);
    expect((await logIn(email, 'Attacker-Horse-6')).status).toBe(401);
    expect((await logIn(email)).status).toBe(200);
  });

  it('at once from everywhere makes one account', async () => {
    const email = newEmail();
    const made = await changes(async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => register(email)));
      expect(answers.every(({ status }) => status === 201)).toBe(true);
    });
    expect(made).toEqual({ account: 1, one_time_code: 1, email_throttle: 1, event: 1, audit_unsealed: 1 });
  });

  it('twice under one Idempotency-Key registers once, and stores no hash that a password could be guessed from', async () => {
    const email = newEmail();
    const headers = { ...newIdempotencyKey(), 'x-forwarded-for': newAddress() };
    const first = await register(email, PASSWORD, headers);
    const second = await register(email, PASSWORD, headers);
    expect(second).toMatchObject({ status: 201, body: first.body, headers: { 'idempotent-replayed': 'true' } });
    expect(await register(email, 'Another-Horse-8', headers)).toMatchObject({
      status: 422,
      body: { code: 'idempotency_key_reused' },
    });
    // Another address is another scope.
    expect((await register(newEmail(), PASSWORD, { ...headers, 'x-forwarded-for': newAddress() })).status).toBe(201);
    const { rows } = await api.database.pool.query<{ scope: string; hash: string; plain: string }>(
      `select scope, encode(body_sha256, 'hex') as hash, encode(sha256(convert_to($2, 'UTF8')), 'hex') as plain
       from idempotency_key where key = $1`,
      [headers['idempotency-key'], JSON.stringify({ email, password: PASSWORD })],
    );
    expect(rows).toHaveLength(2);
    expect(rows.every(({ hash, plain }) => hash !== plain)).toBe(true);
    expect(rows.some(({ scope }) => scope.includes(headers['x-forwarded-for']))).toBe(false);
  });

  it('stores neither address nor password nor code as they are', async () => {
    const email = newEmail();
    await register(email);
    const code = await codeOf(api, email);
    const { rows } = await api.database.pool.query<{ row: string }>(
      `select a.password_hash || encode(a.email_index, 'escape') || t::text as row
       from account a cross join one_time_code t join email_throttle e using (email_index) where a.account_id = t.account_id`,
    );
    const stored = rows.map(({ row }) => row).join('\n');
    expect(stored).toContain('$scrypt$ln=4,r=1,p=1$');
    for (const secret of [email, PASSWORD, code]) expect(stored).not.toContain(secret);
  });
});

describe('a server that can send no mail', () => {
  const closed = testApi({ ...FOR_PEOPLE, showCodes: false });
  it('lets nobody register, and shows no codes', async () => {
    const refused = { status: 403, body: { code: 'registration_closed' } };
    expect(await callAs(closed, 'register', { email: newEmail(), password: PASSWORD })).toMatchObject(refused);
    expect(await callAs(closed, 'resend-otp', { email: newEmail() })).toMatchObject(refused);
    const path = '/auth/v2/development/one-time-code/?email=a@b.example';
    expect(await closed.call(null, 'GET', path)).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });
});

describe('mail', () => {
  const sent: string[] = [];
  const mailer: Mailer = {
    sendCode: async (to, code, minutes) => {
      if (to.startsWith('broken')) throw Object.assign(new Error(`no such box: ${to}`), { code: 'EENVELOPE' });
      sent.push(`code ${to} ${code} ${minutes}`);
    },
    sendAlreadyRegistered: async (to) => void sent.push(`already ${to}`),
    close: async () => {},
  };
  const logged: string[] = [];
  const log = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      logged.push(chunk.toString());
      done();
    },
  });
  const mailed = testApi({ ...FOR_PEOPLE, showCodes: false, mailer, logger: pino({}, log) });
  const lastCode = (email: string) => sent.findLast((mail) => mail.startsWith(`code ${email} `))?.split(' ')[2] ?? '';
  afterEach(() => resetClock(mailed.database.pool));

  it('brings the code, and tells an owner of a second registration, at most once a minute', async () => {
    const email = newEmail();
    const again = () => callAs(mailed, 'register', { email, password: 'Another-Horse-8' });
    await callAs(mailed, 'register', { email, password: PASSWORD });
    expect(sent).toEqual([`code ${email} ${lastCode(email)} 15`]);
    const verified = await callAs(mailed, 'verify-email', { email, code: lastCode(email).toLowerCase() });
    expect(verified.status).toBe(200);
    await again();
    expect(sent).toHaveLength(1);
    await shiftClock(mailed.database.pool, '61 seconds');
    await again();
    await again();
    expect(sent.slice(1)).toEqual([`already ${email}`]);
  });

  it('that cannot be sent changes no answer, and its log line names nobody', async () => {
    const email = `broken-${newEmail()}`;
    const { status } = await callAs(mailed, 'register', { email, password: PASSWORD });
    expect(status).toBe(201);
    await expect.poll(() => logged.some((line) => line.includes('EENVELOPE'))).toBe(true);
    expect(logged.join('')).not.toContain(email);
    expect(logged.join('')).not.toContain('no such box');
  });
});

describe('proving an address', () => {
  it('makes an organization, a sandbox application that works at once, and a login', async () => {
    const email = newEmail();
    await register(email);
    const made = await changes(async () => {
      const { status, body } = await verify(email, await codeOf(api, email));
      expect(status).toBe(200);
      expect(body).toMatchObject({
        expires_in: 900,
        organization: { name: 'My organization' },
        application: { name: 'My application', client_id: expect.stringMatching(/^[\w-]{22}$/) as string },
      });
      const { api_key: key, uuid } = body['application'] as Record<string, string>;
      expect(key).toMatch(/^hnd_sandbox_/);
      const workflows = await api.database.pool.query<{ kind: string }>(
        'select session_kind as kind from verification_workflow where application_id = $1 and is_default order by 1',
        [uuid],
      );
      expect(workflows.rows.map(({ kind }) => kind)).toEqual(['business', 'user']);
      for (const path of ['/v1/onboardings/', '/v1/connections/', '/v3/webhook/destinations/']) {
        expect((await api.call(key ?? '', 'GET', path)).status).toBe(200);
      }
    });
    expect(made).toMatchObject({ organization: 1, application: 1, api_key: 1, login: 1, one_time_code: -1 });
  });

  it('takes the password that comes with the code, whatever the address was registered with', async () => {
    const email = newEmail();
    await register(email, 'Attacker-Horse-6');
    const headers = { ...newIdempotencyKey(), 'x-forwarded-for': newAddress() };
    const code = await codeOf(api, email);
    expect((await verify(email, code, headers, PASSWORD)).status).toBe(200);
    expect(await verify(email, code, headers, PASSWORD)).toMatchObject({
      status: 200,
      body: { secret_replayed: true },
    });
    expect((await logIn(email, 'Attacker-Horse-6')).status).toBe(401);
    expect((await logIn(email)).status).toBe(200);
  });

  it('refuses wrong, used, unknown and old codes alike', async () => {
    const email = newEmail();
    await register(email);
    const code = await codeOf(api, email);
    expect(await verify(email, otherCode(code))).toMatchObject(REFUSED_CODE);
    expect(await verify(newEmail(), code)).toMatchObject(REFUSED_CODE);
    await shiftClock(api.database.pool, '15 minutes 1 second');
    expect(await verify(email, code)).toMatchObject(REFUSED_CODE);
    await resetClock(api.database.pool);
    expect((await verify(email, ` ${code.toLowerCase()} `)).status).toBe(200);
    expect(await verify(email, code)).toMatchObject(REFUSED_CODE);
    expect((await callAs(api, 'verify-email', { email })).body['detail']).toEqual(['code: This field is required.']);
  });

  it('lets a code be tried wrongly 5 times, however many come at once', async () => {
    const email = newEmail();
    await register(email);
    const code = await codeOf(api, email);
    await Promise.all(Array.from({ length: 5 }, () => verify(email, otherCode(code))));
    expect(await verify(email, code)).toMatchObject(REFUSED_CODE);
    await shiftClock(api.database.pool, '61 seconds');
    await resend(email);
    expect((await verify(email, await codeOf(api, email))).status).toBe(200);
  });

  it('at once with one code makes one organization', async () => {
    const email = newEmail();
    await register(email);
    const code = await codeOf(api, email);
    const made = await changes(async () => {
      const answers = await Promise.all(Array.from({ length: 6 }, () => verify(email, code)));
      expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 400, 400, 400, 400, 400]);
    });
    expect(made).toMatchObject({ organization: 1, application: 1, api_key: 1, login: 1 });
  });

  it('twice under one Idempotency-Key shows its secrets once', async () => {
    const email = newEmail();
    await register(email);
    const code = await codeOf(api, email);
    const headers = { ...newIdempotencyKey(), 'x-forwarded-for': newAddress() };
    const first = await verify(email, code, headers);
    const second = await verify(email, code, headers);
    expect(second.headers).toMatchObject({ 'idempotent-replayed': 'true' });
    expect(second.body).toEqual({
      ...first.body,
      access_token: null,
      refresh_token: null,
      application: { ...(first.body['application'] as object), api_key: null },
      secret_replayed: true,
    });
  });
});

describe('asking for another code', () => {
  it('is possible once a minute, for addresses with and without an account alike', async () => {
    const waiting = newEmail();
    await register(waiting);
    const { email: proven } = await newPerson(api);
    const unknown = newEmail();
    await resend(unknown);
    for (const email of [waiting, proven, unknown]) {
      const early = await resend(email);
      expect(early).toMatchObject({ status: 429, body: { code: 'rate_limited' } });
      expect(Number(early.headers['retry-after'])).toBeGreaterThan(30);
      expect(Number(early.headers['retry-after'])).toBeLessThanOrEqual(60);
    }
    await shiftClock(api.database.pool, '61 seconds');
    const before = await codeOf(api, waiting);
    for (const email of [waiting, proven, unknown]) {
      expect(await resend(email)).toMatchObject({
        status: 200,
        body: { message: 'If this address waits for a code, a new one is on its way.' },
      });
    }
    const after = await codeOf(api, waiting);
    expect(after).not.toBe(before);
    expect(await verify(waiting, before)).toMatchObject(REFUSED_CODE);
    expect((await verify(waiting, after)).status).toBe(200);
  });

  it('twice under one Idempotency-Key makes one code', async () => {
    const email = newEmail();
    await register(email);
    await shiftClock(api.database.pool, '61 seconds');
    const headers = { ...newIdempotencyKey(), 'x-forwarded-for': newAddress() };
    const first = await resend(email, headers);
    const code = await codeOf(api, email);
    expect(await resend(email, headers)).toMatchObject({ status: 200, body: first.body });
    expect(await codeOf(api, email)).toBe(code);
  });
});

describe('logging in', () => {
  it('gives a pair of tokens that work', async () => {
    const { email } = await newPerson(api);
    const answer = await logIn(` ${email.toUpperCase()} `);
    expect(answer).toMatchObject({ status: 200, body: { expires_in: 900, message: 'Logged in.' } });
    expect((await me(textOf(answer, 'access_token'))).status).toBe(200);
    expect((await refresh(textOf(answer, 'refresh_token'))).status).toBe(200);
  });

  it('answers a wrong password and an unknown address alike', async () => {
    const { email } = await newPerson(api);
    const wrong = await logIn(email, 'Another-Horse-8');
    const unknown = await logIn(newEmail());
    expect(wrong).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } });
    expect(unknown.body).toEqual(wrong.body);
  });

  it('tells nobody of an unproven address: whoever registers one learns not whether it has an account', async () => {
    const fresh = newEmail();
    const { email: proven } = await newPerson(api);
    const answers = [];
    for (const email of [fresh, proven]) {
      await register(email, 'Attacker-Horse-6');
      for (let count = 0; count < 6; count += 1) answers.push(await logIn(email, 'Attacker-Horse-6'));
    }
    const told = answers.map(({ status, body }) => ({ status, body }));
    expect(told.slice(0, 6)).toEqual(told.slice(6));
    expect(told[0]).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } });
    expect(told[5]).toMatchObject({ status: 429, body: { code: 'account_locked' } });
  });

  it.each([
    ['of an account', true],
    ['that nobody has registered', false],
  ])('locks an address %s for 15 minutes, an hour and a day', async (_which, registered) => {
    const email = registered ? (await newPerson(api)).email : newEmail();
    const fail = async () => expect((await logIn(email, 'Another-Horse-8')).status).toBe(401);
    for (const [failures, seconds] of [
      [5, 900],
      [5, 3600],
      [5, 3600],
      [5, 86_400],
    ] as const) {
      for (let count = 0; count < failures; count += 1) await fail();
      const locked = await logIn(email);
      expect(locked).toMatchObject({ status: 429, body: { code: 'account_locked' } });
      expect(Number(locked.headers['retry-after'])).toBeGreaterThan(seconds - 60);
      expect(Number(locked.headers['retry-after'])).toBeLessThanOrEqual(seconds);
      await shiftClock(api.database.pool, `${seconds + 1} seconds`);
    }
    if (!registered) return;
    expect((await logIn(email)).status).toBe(200);
    // A right password takes the count back.
    for (let count = 0; count < 4; count += 1) await fail();
    expect((await logIn(email)).status).toBe(200);
    await fail();
    expect((await logIn(email)).status).toBe(200);
  });

  it('lets 5 of many guesses at once through', async () => {
    const { email } = await newPerson(api);
    const answers = await Promise.all(Array.from({ length: 20 }, () => logIn(email, 'Another-Horse-8')));
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(5);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(15);
    expect(await logIn(email)).toMatchObject({ status: 429, body: { code: 'account_locked' } });
  });

  it('locks nobody out who logs in many times at once', async () => {
    const { email } = await newPerson(api);
    const answers = await Promise.all(Array.from({ length: 12 }, () => logIn(email)));
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    for (const { status, body, headers } of answers.filter((answer) => answer.status !== 200)) {
      expect({ status, code: body['code'] }).toEqual({ status: 429, code: 'rate_limited' });
      expect(headers['retry-after']).toBe('2');
    }
    expect((await logIn(email)).status).toBe(200);
  });

  it('takes a try that was never answered for a wrong one, after a minute', async () => {
    const { email } = await newPerson(api);
    const fail = () => logIn(email, 'Another-Horse-8');
    for (let count = 0; count < 5; count += 1) await fail();
    // As the fifth leaves it until its password is checked.
    await api.database.pool.query(
      `update email_throttle set lock_checked_until = handoff_now() + interval '60 seconds' where locked_until is not null`,
    );
    expect(await logIn(email)).toMatchObject({ status: 429, body: { code: 'rate_limited' } });
    await shiftClock(api.database.pool, '61 seconds');
    expect(await logIn(email)).toMatchObject({ status: 429, body: { code: 'account_locked' } });
  });

  it('is limited for a network address, whomever it tries', async () => {
    const from = { 'x-forwarded-for': newAddress() };
    const answers = await Promise.all(Array.from({ length: 31 }, () => logIn(newEmail(), PASSWORD, from)));
    const limited = answers.filter(({ status }) => status === 429);
    // A new window may begin in between.
    expect(limited.length).toBeLessThanOrEqual(1);
    const more = await Promise.all(Array.from({ length: 31 }, () => logIn(newEmail(), PASSWORD, from)));
    expect(more.some(({ status, body }) => status === 429 && body['code'] === 'rate_limited')).toBe(true);
  });

  it('twice under one Idempotency-Key is one login', async () => {
    const { email } = await newPerson(api);
    const headers = { ...newIdempotencyKey(), 'x-forwarded-for': newAddress() };
    const made = await changes(async () => {
      await logIn(email, PASSWORD, headers);
      expect(await logIn(email, PASSWORD, headers)).toMatchObject({
        status: 200,
        body: { access_token: null, refresh_token: null, secret_replayed: true },
      });
    });
    expect(made).toEqual({ login: 1, refresh_token: 1, idempotency_key: 1, event: 1, audit_unsealed: 1 });
  });
});

describe('a refresh token', () => {
  it('works once; a second time it ends the login and all that came of it', async () => {
    const person = await newPerson(api);
    const next = await refresh(person.refreshToken);
    expect(next.status).toBe(200);
    expect((await me(textOf(next, 'access_token'))).status).toBe(200);
    expect(await refresh(person.refreshToken)).toMatchObject({ status: 401, body: { code: 'authentication_failed' } });
    expect((await refresh(textOf(next, 'refresh_token'))).status).toBe(401);
    expect((await me(textOf(next, 'access_token'))).status).toBe(401);
    expect(await me(person.accessToken)).toMatchObject({ status: 401, body: { code: 'authentication_failed' } });
    expect((await logIn(person.email)).status).toBe(200);
  });

  it('that comes twice at once wins once', async () => {
    const person = await newPerson(api);
    const answers = await Promise.all([refresh(person.refreshToken), refresh(person.refreshToken)]);
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 401]);
  });

  it('sent twice under one Idempotency-Key ends nothing', async () => {
    const person = await newPerson(api);
    const headers = { ...newIdempotencyKey(), 'x-forwarded-for': newAddress() };
    const first = await refresh(person.refreshToken, headers);
    expect(await refresh(person.refreshToken, headers)).toMatchObject({
      status: 200,
      body: { access_token: null, refresh_token: null, secret_replayed: true },
    });
    expect((await refresh(textOf(first, 'refresh_token'))).status).toBe(200);
  });

  it('dies with its login after 30 days, and an unknown one never lived', async () => {
    const person = await newPerson(api);
    await shiftClock(api.database.pool, '30 days');
    expect((await refresh(person.refreshToken)).status).toBe(401);
    expect((await refresh('hnr_unknown')).status).toBe(401);
    expect((await callAs(api, 'refresh', {})).body).toMatchObject({ refresh_token: ['This field is required.'] });
  });
});

describe('an access token', () => {
  it('works for 15 minutes, by the database’s clock', async () => {
    const person = await newPerson(api);
    await shiftClock(api.database.pool, '14 minutes');
    expect((await me(person.accessToken)).status).toBe(200);
    await shiftClock(api.database.pool, '1 minute 1 second');
    expect((await me(person.accessToken)).status).toBe(401);
    const next = await refresh(person.refreshToken);
    expect((await me(textOf(next, 'access_token'))).status).toBe(200);
  });

  it('dies at log-out, with its refresh token', async () => {
    const person = await newPerson(api);
    const out = () => person.call('POST', '/auth/v2/programmatic/logout/', {});
    expect(await out()).toMatchObject({ status: 200, body: { message: 'Logged out.' } });
    expect((await out()).status).toBe(401);
    expect((await me(person.accessToken)).status).toBe(401);
    expect((await refresh(person.refreshToken)).status).toBe(401);
  });

  it('is asked for before anything else is read, and nothing else is taken for it', async () => {
    const person = await newPerson(api);
    const now = Math.floor(Date.now() / 1000);
    const shareToken = await signShareToken(KEYS, KEYS.activeKid, {
      session_id: person.applicationId,
      session_kind: 'user',
      from_application_id: person.organizationId,
      for_application_id: person.applicationId,
      iat: now,
      exp: now + 3600,
      jti: person.applicationId,
    });
    for (const token of ['', 'x', shareToken, person.apiKey, person.refreshToken, `${person.accessToken}x`]) {
      expect(await me(token), token).toMatchObject({ status: 401, body: { code: 'authentication_failed' } });
    }
    expect((await me(person.accessToken, 'Basic')).status).toBe(401);
    expect((await api.call(person.apiKey, 'GET', '/auth/v2/organizations/me/')).status).toBe(401);
    const unread = await api.call(null, 'PATCH', person.application(), '{"not json', {
      'content-type': 'application/json',
    });
    expect(unread.status).toBe(401);
  });

  it('is no share token and no API key', async () => {
    const person = await newPerson(api);
    expect(
      await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: person.accessToken }),
    ).toMatchObject({ status: 401, body: { code: 'share_token_invalid' } });
    expect((await api.call(person.accessToken, 'GET', '/v1/onboardings/')).status).toBe(401);
    expect((await person.call('GET', '/v1/onboardings/')).status).toBe(401);
  });
});

it('logs the code in development, and never an address, a password, a token or a key', async () => {
  lines.splice(0);
  const person = await newPerson(api);
  await logIn(person.email);
  await refresh(person.refreshToken);
  const log = lines.join('');
  expect(log).toMatch(/"code":"[2-9A-HJ-NP-Z]{6}"/);
  for (const secret of [person.email, PASSWORD, person.accessToken, person.refreshToken, person.apiKey]) {
    expect(log).not.toContain(secret);
  }
});
