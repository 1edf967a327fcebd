import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { diditSecret, newWebhookSecret, signWebhook } from '../../src/crypto/webhook-signature.ts';
import { compile, packReceiver } from '../support/packed-receiver.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-receiver-'));
let project: string;

beforeAll(() => {
  project = packReceiver(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a file of a receiver's project and runs it with Node; resolves to what it printed. */
function run(name: string, text: string, flags: readonly string[] = []): string {
  writeFileSync(join(project, name), text);
  return execFileSync(process.execPath, [...flags, name], { cwd: project, encoding: 'utf8' }).trim();
}

const timestampSeconds = Math.floor(Date.now() / 1_000);
const body = JSON.stringify({ timestamp: timestampSeconds, webhook_type: 'webhook.ping' });
const secret = newWebhookSecret();
const eventId = '0193a5f0-1111-7abc-8def-0123456789ab';
const headers = signWebhook({
  eventId,
  webhookType: 'webhook.ping',
  body,
  timestampSeconds,
  attempt: 1,
  secrets: [secret],
});
const webhook = JSON.stringify({ headers, body, secrets: diditSecret(secret) });

it('from its tarball imports and verifies, with no other file of ours and no dependency', () => {
  expect(readdirSync(join(project, 'node_modules'))).toEqual(['handoff']);
  expect(readdirSync(join(project, 'node_modules', 'handoff', 'dist'))).toEqual(['receiver']);
  const printed = run(
    'receive.mjs',
    `import * as all from 'handoff/webhooks';
     const event = await all.verifyWebhook(${webhook});
     console.log(JSON.stringify([Object.keys(all), event.webhook_type]));`,
  );
  expect(JSON.parse(printed)).toEqual([
    ['WebhookVerificationError', 'stateSubjectOf', 'verifyWebhook'],
    'webhook.ping',
  ]);
});

it('needs of its runtime the language, Web Crypto and the encodings alone', () => {
  const printed = run(
    'bare.mjs',
    `import { readFileSync } from 'node:fs';
     import { dirname, resolve } from 'node:path';
     import { createContext, SourceTextModule } from 'node:vm';
     const context = createContext({ crypto, TextEncoder, TextDecoder, atob, btoa });
     const modules = new Map();
     const load = (path) => {
       if (!modules.has(path)) {
         modules.set(path, new SourceTextModule(readFileSync(path, 'utf8'), { context, identifier: path }));
       }
       return modules.get(path);
     };
     const index = load(resolve('node_modules/handoff/dist/receiver/index.js'));
     await index.link((specifier, from) => {
       if (!specifier.startsWith('./')) throw new Error('imports ' + specifier);
       return load(resolve(dirname(from.identifier), specifier));
     });
     await index.evaluate();
     const { verifyWebhook } = index.namespace;
     const webhook = ${webhook};
     const asBytes = { ...webhook, body: new TextEncoder().encode(webhook.body).buffer };
     const codes = [];
     for (const each of [webhook, asBytes, { ...webhook, scheme: 'didit' }, { ...webhook, body: '{}' }]) {
       codes.push(await verifyWebhook(each).then((event) => event.webhook_type, (error) => error.code));
     }
     console.log(codes.join());`,
    ['--experimental-vm-modules', '--no-warnings'],
  );
  expect(printed).toBe('webhook.ping,webhook.ping,webhook.ping,malformed_body');
});

it('has types that need no other, and tell the events apart', () => {
  writeFileSync(
    join(project, 'typed.ts'),
    `import { stateSubjectOf, verifyWebhook, type EventOf, type HandoffWebhookEvent } from 'handoff/webhooks';
     export async function receive(request: Request, secrets: string[]): Promise<string | null | undefined> {
       const event = await verifyWebhook({ headers: request.headers, body: await request.arrayBuffer(), secrets });
       if (event.webhook_type === 'share.received') return onShare(event);
       // @ts-expect-error: not of every event
       event.share_token;
       // @ts-expect-error: no such event
       if (event.webhook_type === 'share.sent') return undefined;
       return stateSubjectOf(event satisfies HandoffWebhookEvent);
     }
     const onShare = (event: EventOf<'share.received'>): string | undefined => event.share_token;
     export const named = (headers: Record<string, string | string[] | undefined>, body: Uint8Array) =>
       verifyWebhook({ headers, body, secrets: 'one', scheme: 'standard', toleranceSeconds: 60, now: 1 });`,
  );
  compile(project, {
    compilerOptions: {
      strict: true,
      noEmit: true,
      target: 'ES2022',
      module: 'NodeNext',
      lib: ['ES2022', 'DOM'],
      types: [],
    },
    files: ['typed.ts'],
  });
});

it('works as a folder that was copied, with its types, and no package around it', () => {
  cpSync(join(project, 'node_modules', 'handoff', 'dist', 'receiver'), join(project, 'receiver'), { recursive: true });
  const program = `import { verifyWebhook, type HandoffWebhookEvent } from './receiver/index.js';
    const event: HandoffWebhookEvent = await verifyWebhook(${webhook});
    console.log(event.webhook_type);`;
  expect(run('copied.mts', program, ['--no-warnings'])).toBe('webhook.ping');
  compile(project, {
    compilerOptions: { strict: true, noEmit: true, target: 'ES2022', module: 'NodeNext', types: [] },
    files: ['copied.mts'],
  });
});
