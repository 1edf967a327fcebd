import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { canonicalJson } from '../../src/crypto/canonical-json.ts';
import { diditSecret, newWebhookSecret, signWebhook, standardSecret } from '../../src/crypto/webhook-signature.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { EVENT_TYPES, type EventType } from '../../src/domain/events.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { WEBHOOK_EVENTS } from '../../src/http/schemas/webhook-events.ts';
import { stateSubjectOf, verifyWebhook, type HandoffWebhookEvent } from '../../src/receiver/index.ts';
import { testDatabase } from '../support/database.ts';
import { codeBlocks, document, PROJECT } from '../support/markdown.ts';
import { compile, packReceiver } from '../support/packed-receiver.ts';
import { signInPython } from '../support/python-verifier.ts';

const page = document('docs/webhooks.md');
const [server = '', worker = '', library = '', byHand = ''] = codeBlocks(page, 'typescript');
const [pythonStandard = '', pythonDidit = ''] = codeBlocks(page, 'python');
const folder = mkdtempSync(join(tmpdir(), 'handoff-webhook-page-'));
const secret = newWebhookSecret();
const [whsec, shared] = [standardSecret(secret), diditSecret(secret)];
let project: string;

beforeAll(() => {
  project = packReceiver(folder);
  symlinkSync(join(PROJECT, 'node_modules', 'standardwebhooks'), join(project, 'node_modules', 'standardwebhooks'));
  for (const [name, text] of Object.entries({ server, worker, library, byHand })) {
    writeFileSync(join(project, `${name}.mts`), text);
  }
  for (const [name, text] of Object.entries({ pythonStandard, pythonDidit })) {
    writeFileSync(join(project, `${name}.py`), text);
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** One webhook as it arrives, and whether it is to be believed. */
interface Arrived {
  readonly what: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

const now = () => Math.floor(Date.now() / 1_000);
const PERSON = { decision: { first_name: 'Zoë', city: '東京', score: 99.5, shares: 30, note: '😀 "\n\u007f' } };

function sent(what: string, at: number, more: JsonObject = {}, signedWith = secret): Arrived {
  const example = WEBHOOK_EVENTS['status.updated'].example as JsonObject;
  const body = canonicalJson({ ...example, ...PERSON, ...more, timestamp: at });
  const headers = signWebhook({
    eventId: String(example['event_id']),
    webhookType: 'status.updated',
    body,
    timestampSeconds: at,
    attempt: 1,
    secrets: [signedWith],
  });
  return { what, headers, body };
}

const genuine = (): Arrived[] => [
  sent('a delivery', now()),
  sent('one of four minutes ago', now() - 240),
  sent('one without a decision', now(), { decision: null, decision_omitted: true }),
];
function wrong(): Arrived[] {
  const good = sent('', now());
  const old = sent('an expired one', now() - 400);
  return [
    { ...good, what: 'a changed body', body: good.body.replace('"Approved"', '"Declined"') },
    { ...good, what: 'a changed decision', body: good.body.replace('99.5', '99.6') },
    sent('one of another’s secret', now(), {}, newWebhookSecret()),
    old,
    sent('one of the future', now() + 400),
    {
      ...old,
      what: 'an expired one with new times',
      headers: { ...old.headers, 'webhook-timestamp': String(now()), 'x-timestamp': String(now()) },
    },
    { ...good, what: 'one without headers', headers: {} },
    {
      ...good,
      what: 'one with the simple signature alone',
      headers: {
        'x-timestamp': String(now()),
        'x-signature-simple': good.headers['x-signature-simple'] ?? '',
      },
    },
  ];
}

/** A delivery of Didit's own: ASCII-escaped, signed in literal UTF-8. */
function ofDidit(): Arrived {
  const at = now();
  const body = JSON.stringify({
    timestamp: at,
    webhook_type: 'status.updated',
    session_id: 's',
    score: 30.5,
    ...PERSON,
  });
  const [signed] = signInPython([{ body, secret: shared }]);
  if (signed === undefined) throw new Error('one body, one webhook');
  const headers = { 'x-timestamp': String(at), 'x-signature-v2': signed.signatureV2, 'x-signature': signed.signature };
  return { what: 'one of Didit’s', headers, body: signed.raw };
}

/** Which of these a program of the page believes. */
type Receiver = (arrived: readonly Arrived[]) => Promise<boolean[]>;

async function expectJudgement(receive: Receiver, alsoDidit: boolean): Promise<void> {
  const [good, bad] = [[...genuine(), ...(alsoDidit ? [ofDidit()] : [])], wrong()];
  const verdicts = await receive([...good, ...bad]);
  const whats = [...good, ...bad].map(({ what }) => what);
  expect(whats.filter((_, index) => verdicts[index])).toEqual(good.map(({ what }) => what));
}

/** A block that is a module with `verify(headers, rawBody, secret)`. */
const inNode = (name: string, withSecret: string): Receiver =>
  throughProgram(
    process.execPath,
    `import { readFileSync } from 'node:fs';
     import { verify } from './${name}.mts';
     const verdicts = JSON.parse(readFileSync(0, 'utf8')).map(({ headers, body }) => {
       try { return verify(headers, body, ${JSON.stringify(withSecret)}).webhook_type === 'status.updated'; } catch { return false; }
     });
     console.log(JSON.stringify(verdicts));`,
    ['--input-type=module', '--eval'],
  );
const inPython = (name: string, withSecret: string): Receiver =>
  throughProgram(
    'python3',
    `
import json, sys
from ${name} import verify

def verdict(case):
    try:
        return verify(case["headers"], case["body"].encode(), "${withSecret}")["webhook_type"] == "status.updated"
    except ValueError:
        return False

print(json.dumps([verdict(case) for case in json.load(sys.stdin)]))`,
    ['-c'],
  );

function throughProgram(command: string, program: string, flags: readonly string[]): Receiver {
  return async (arrived) => {
    const input = JSON.stringify(arrived);
    const options = {
      cwd: project,
      input,
      encoding: 'utf8',
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    } as const;
    return JSON.parse(execFileSync(command, [...flags, program], options)) as boolean[];
  };
}

describe('programs on docs/webhooks.md', () => {
  it('have types that hold, against the packed module', () => {
    const types = join(PROJECT, 'node_modules', '@types');
    compile(project, {
      compilerOptions: {
        strict: true,
        noEmit: true,
        target: 'ES2023',
        module: 'NodeNext',
        lib: ['ES2023'],
        typeRoots: [types],
        types: ['node'],
      },
      files: ['server.mts', 'worker.mts', 'library.mts', 'byHand.mts'],
    });
  });

  it('a server with the module judges as it should, Didit’s own deliveries too', async () => {
    const port = await freePort();
    const child = spawn(process.execPath, ['server.mts'], {
      cwd: project,
      env: { ...process.env, PORT: String(port), WEBHOOK_SECRETS: `${diditSecret(newWebhookSecret())},${whsec}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const printed = collect(child);
    const url = `http://127.0.0.1:${port}/`;
    try {
      while ((await fetch(url).catch(() => null)) === null) {
        if (child.exitCode !== null) throw new Error(printed());
        await pause(50);
      }
      await expectJudgement(
        (arrived) =>
          Promise.all(
            arrived.map(async ({ headers, body }) => {
              const { status } = await fetch(url, { method: 'POST', headers, body });
              expect([204, 401]).toContain(status);
              return status === 204;
            }),
          ),
        true,
      );
      const endless = await fetch(url, {
        method: 'POST',
        headers: sent('', now()).headers,
        body: 'x'.repeat(5_000_000),
      });
      expect(endless.status).toBe(401);
    } finally {
      child.kill('SIGKILL');
    }
    for (const code of ['body_too_large', 'missing_headers', 'simple_signature_only', 'no_match', 'stale_timestamp']) {
      expect(printed()).toContain(code);
    }
  });

  it('a fetch handler with the module does', async () => {
    const { default: handler } = (await import(/* @vite-ignore */ join(project, 'worker.mts'))) as {
      default: { fetch(request: Request, env: { WEBHOOK_SECRETS: string }): Promise<Response> };
    };
    const env = { WEBHOOK_SECRETS: shared };
    const log = vi.spyOn(console, 'log').mockReturnValue();
    await expectJudgement(
      (arrived) =>
        Promise.all(
          arrived.map(async ({ headers, body }) => {
            const request = new Request('https://receiver.example/', { method: 'POST', headers, body });
            return (await handler.fetch(request, env)).status === 204;
          }),
        ),
      true,
    );
    expect(log).toHaveBeenCalledTimes(4);
    log.mockRestore();
  });

  it('the Standard Webhooks library does', () => expectJudgement(inNode('library', whsec), false));
  it('Didit’s recipe in TypeScript does', () => expectJudgement(inNode('byHand', shared), true));
  it('Standard Webhooks in Python do', () => expectJudgement(inPython('pythonStandard', whsec), false));
  it('Didit’s recipe in Python does', () => expectJudgement(inPython('pythonDidit', shared), true));
});

describe('the statements on docs/webhooks.md', () => {
  const database = testDatabase();
  const [create = '', ...perEvent] = codeBlocks(page, 'sql');

  const [seen = '', newer = ''] = perEvent;
  const passes = async (statement: string, values: unknown[]) =>
    (await database.pool.query(statement, values)).rowCount === 1;
  beforeAll(async () => {
    await database.pool.query(create);
  });

  it('let each event through once, and nothing stale overwrite', async () => {
    const eventId = '0199a3c4-8888-7aaa-8bbb-0123456789ab';
    expect([await passes(seen, [eventId]), await passes(seen, [eventId])]).toEqual([true, false]);
    const verdicts = [];
    for (const sequence of [2, 1, 2, 5, 3, 6]) verdicts.push(await passes(newer, ['a session', sequence]));
    expect(verdicts).toEqual([true, false, false, true, false, true]);
    expect(await passes(newer, ['another', 1])).toBe(true);
  });

  it('lose nothing to an event that tells no whole state, in whatever order they come', async () => {
    const arrive = async (type: EventType, sequence: number, subject: string) => {
      const example: Record<string, unknown> = { ...WEBHOOK_EVENTS[type].example, sequence };
      for (const name of ['session_id', 'vendor_user_id']) if (name in example) example[name] = subject;
      const state = stateSubjectOf(example as unknown as HandoffWebhookEvent);
      return state === null ? 'a fact' : (await passes(newer, [state, sequence])) ? 'the state' : 'stale';
    };
    const session = '0199a3c4-1111-7aaa-8bbb-0123456789ab';
    expect(await arrive('share.imported', 2, session)).toBe('a fact');
    expect(await arrive('status.updated', 1, session)).toBe('the state');
    expect(await arrive('data.updated', 5, session)).toBe('the state');
    expect(await arrive('status.updated', 4, session)).toBe('stale');
    expect(await arrive('share.revoked', 3, session)).toBe('a fact');
    const customer = '0199a3c4-2222-7aaa-8bbb-0123456789ab';
    expect(await arrive('user.data.updated', 3, customer)).toBe('a fact');
    expect(await arrive('user.status.updated', 2, customer)).toBe('the state');
    expect(await arrive('user.data.updated', 1, customer)).toBe('a fact');
  });

  it('name the events that they are for', () => {
    const stated = EVENT_TYPES.filter(
      (type) => stateSubjectOf(WEBHOOK_EVENTS[type].example as unknown as HandoffWebhookEvent) !== null,
    );
    expect(EVENT_TYPES.filter((type) => newer.includes(type))).toEqual(stated);
  });
});

describe('docs/webhooks.md', () => {
  it('has no block that nothing runs', () => {
    const languages = [...page.matchAll(/^```(\w+)$/gm)].map(([, language = '']) => language);
    const count = (language: string) => languages.filter((each) => each === language).length;
    expect(Object.fromEntries([...new Set(languages)].map((each) => [each, count(each)]))).toEqual({
      http: 1,
      json: 1,
      bash: 2,
      typescript: 4,
      python: 2,
      sql: 3,
    });
  });

  it('shows a delivery that is signed by the secret it names', async () => {
    const [head = '', body = ''] = (codeBlocks(page, 'http')[0] ?? '').trimEnd().split('\n\n');
    const headers = Object.fromEntries(
      head
        .split('\n')
        .slice(1)
        .map((line) => line.split(': ') as [string, string]),
    );
    const named = /`(whsec_[A-Za-z0-9+/]+=*)`/.exec(page)?.[1] ?? '';
    const event = JSON.parse(body) as JsonObject;
    const at = Number(event['timestamp']);
    for (const scheme of ['standard', 'didit'] as const) {
      expect(await verifyWebhook({ headers, body, secrets: named, now: at, scheme })).toEqual(event);
    }
    const signed = signWebhook({
      eventId: String(event['event_id']),
      webhookType: String(event['webhook_type']),
      body,
      timestampSeconds: at,
      attempt: 1,
      secrets: [Buffer.from(named.slice('whsec_'.length), 'base64')],
      test: true,
    });
    expect({ ...headers, 'user-agent': null }).toEqual({ ...signed, 'user-agent': null });
    expect(WEBHOOK_EVENTS['webhook.ping'].schema.safeParse(event).error).toBeUndefined();
  });

  it('shows a share as it arrives', () => {
    const event = JSON.parse(codeBlocks(page, 'json')[0] ?? '') as JsonObject;
    expect(WEBHOOK_EVENTS['share.received'].schema.safeParse(event).error).toBeUndefined();
    const example = WEBHOOK_EVENTS['share.received'].example;
    expect(Object.keys(event)).toEqual(Object.keys(example).sort());
  });

  it('names every event and every code of the module', () => {
    expect(EVENT_TYPES.filter((type) => !page.includes(`\`${type}\``))).toEqual([]);
    const source = document('src/receiver/verification-error.ts');
    const codes = [...source.matchAll(/^ {2}\| '(\w+)'/gm)].map(([, code = '']) => code);
    expect(codes).toHaveLength(8);
    expect(codes.filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
  });

  it('names every reason and hint that the log and `missed` give', () => {
    const union = (path: string, name: string) => {
      const [, body = ''] = new RegExp(`export type ${name} =([^;]*);`).exec(document(path)) ?? [];
      return [...body.matchAll(/'(\w+)'/g)].map(([, each = '']) => each);
    };
    const sql = readdirSync(join(PROJECT, 'src', 'postgres'))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => document(join('src', 'postgres', name)))
      .join('\n');
    const written = [
      ...sql.matchAll(/\b(?:last_)?reason = '(\w+)'/g),
      ...sql.matchAll(/(?:then|else) '(\w+)'(?= (?:end as reason|when not|\n))/g),
    ].map(([, reason = '']) => reason);
    expect(written).toContain('destination_disabled');
    const named = new Set([
      ...union('src/webhooks/reply-policy.ts', 'ReplyReason'),
      ...union('src/webhooks/reply-policy.ts', 'RetryHint'),
      ...union('src/webhooks/http-post.ts', 'PostFailureCode'),
      ...written,
    ]);
    named.delete('egress_blocked');
    expect(named.size).toBeGreaterThan(20);
    expect([...named].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });
});

function collect(child: ChildProcess): () => string {
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (printed += String(chunk)));
  return () => printed;
}
