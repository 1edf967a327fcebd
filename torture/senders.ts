import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { parseKeyRing } from '../src/crypto/key-ring.ts';
import { mediaUrls } from '../src/media/links.ts';
import { deliveryLedger, DELIVERIES_CHANNEL } from '../src/postgres/deliveries.ts';
import { listen } from '../src/postgres/wake-up.ts';
import type { AttemptTools } from '../src/webhooks/attempt-delivery.ts';
import { createWebhookPoster, type WebhookPosterOptions } from '../src/webhooks/http-post.ts';
import { startSender } from '../src/webhooks/sender.ts';
import { startWorkerProcess, type OwnProcess } from '../test/support/worker-process.ts';
import type { Field } from './field.ts';
import type { Lab } from './lab.ts';

/** A sender at work, and the limits that it keeps, in milliseconds. */
export interface SenderAtWork {
  readonly headersMs: number;
  readonly attemptMs: number;
  /** Memory that its process holds, in MiB. */
  memory(): number;
}

/** webhooks.md A5. */
const DOCUMENTED = { headersMs: 10_000, attemptMs: 15_000 };
const SHORT = { headersMs: 1_000, attemptMs: 1_500 };

/** The real webhooks worker, ready to send. It ends with the part. */
export async function startWebhooksProcess(
  lab: Lab,
  env: Readonly<Record<string, string>>,
): Promise<SenderAtWork & { readonly process: OwnProcess }> {
  const process = await startWorkerProcess('webhooks', env);
  lab.onEnd(() => process.kill());
  return { ...DOCUMENTED, process, memory: () => residentMiB(process.pid) };
}

/** What is needed of a {@link Field} to send from this process. */
export function attemptTools(field: Field, poster: AttemptTools['poster']): AttemptTools {
  const publicUrl = 'http://localhost:8080';
  const mediaLinkKey = Buffer.from(field.env['MEDIA_LINK_KEY'] ?? '', 'base64url');
  return {
    poster,
    shareTokenKeys: parseKeyRing(field.env['SHARE_TOKEN_KEYS'] ?? ''),
    mediaUrl: mediaUrls({ publicUrl, mediaLinkKey }),
    docsUrl: `${publicUrl}/docs/`,
  };
}

/** Sender, ledger and poster in this process, as the worker puts them together; with time limits that end soon. */
export async function startSenderHere(
  lab: Lab,
  field: Field,
  options: Partial<WebhookPosterOptions> = {},
): Promise<SenderAtWork> {
  const poster = createWebhookPoster({
    allowHttp: true,
    allowedPorts: 'any',
    allowedCidrs: ['127.0.0.0/8', '::1/128'],
    connectTimeoutMs: SHORT.headersMs,
    headersTimeoutMs: SHORT.headersMs,
    attemptTimeoutMs: SHORT.attemptMs,
    ...options,
  });
  lab.onEnd(() => poster.close());
  const tools = attemptTools(field, poster);
  const sender = startSender(deliveryLedger(field.tenants, field.sealer), tools, {
    onError: (error) => lab.say(`Sender: ${String(error)}`),
  });
  lab.onEnd(() => sender.stop());
  const wakeUps = listen(field.env['DATABASE_URL'] ?? '', DELIVERIES_CHANNEL, () => sender.wake());
  lab.onEnd(() => wakeUps.stop());
  return { ...SHORT, memory: () => residentMiB(process.pid) };
}

/** The worker as a process of its own; when it shall be quick, its parts in this process. */
export async function startSomeSender(lab: Lab, field: Field, extraCa?: string): Promise<SenderAtWork> {
  if (lab.quick) return startSenderHere(lab, field, extraCa === undefined ? {} : { extraCa });
  return startWebhooksProcess(lab, field.env);
}

function residentMiB(pid: number): number {
  const status = `/proc/${pid}/status`;
  const kib = existsSync(status)
    ? /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(status, 'utf8'))?.[1]
    : execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  return Number(kib) / 1024;
}
