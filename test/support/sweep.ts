import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

/** Everything that a Temporal namespace tells of its runs, as texts. */
export async function everythingInTemporal(temporal: Client, cliPath: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const listed of temporal.workflow.list()) {
    const handle = temporal.workflow.getHandle(listed.workflowId, listed.runId);
    const [history, described, details] = await Promise.all([
      handle.fetchHistory(),
      handle.describe(),
      // Current details, and the descriptions of messages.
      handle.query<unknown>('__temporal_workflow_metadata'),
    ]);
    texts.push(historyToJSON(history), jsonOf(listed.raw), jsonOf(described.raw), jsonOf(details));
  }
  const { namespace, connection } = temporal.options;
  const address = process.env['TEMPORAL_ADDRESS'] ?? '';
  if (connection === undefined) throw new Error('a client has its connection');
  const args = ['workflow', 'list', '--address', address, '--namespace', namespace, '--output', 'json'];
  const { stdout } = await promisify(execFile)(cliPath, args, { maxBuffer: 64 * 1024 * 1024 });
  return [...texts, stdout];
}

/** JSON in which bytes are base64, wherever they lie. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'bigint') return String(member);
    const buffer = member as { type?: unknown; data?: unknown } | null;
    if (member instanceof Uint8Array) return Buffer.from(member).toString('base64');
    // A Buffer has made itself JSON before it comes here.
    return buffer?.type === 'Buffer' && Array.isArray(buffer.data)
      ? Buffer.from(buffer.data as number[]).toString('base64')
      : member;
  });
}

const MAX_DEPTH = 4;

/** The texts with every form in which they may hide something: base64 and base64url, JSON and URL escapes, nested. */
export function decoded(texts: readonly string[]): string {
  const found = new Set<string>();
  const dig = (text: string, depth: number): void => {
    if (found.has(text)) return;
    found.add(text);
    if (depth === MAX_DEPTH) return;
    const unescaped = text
      .replaceAll(/\\u([0-9a-fA-F]{4})/g, (_all, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
      .replaceAll(/\\(["\\/])/g, '$1');
    if (unescaped !== text) dig(unescaped, depth + 1);
    const percent = text.replaceAll(/(?:%[0-9a-fA-F]{2})+/g, (bytes) =>
      Buffer.from(bytes.replaceAll('%', ''), 'hex').toString('utf8'),
    );
    if (percent !== text) dig(percent, depth + 1);
    for (const [word] of text.matchAll(/[A-Za-z0-9+/_-]{8,}/g)) {
      const plain = Buffer.from(word, 'base64').toString('utf8');
      // Most words are no base64, and give no text.
      if (!plain.includes('\uFFFD')) dig(plain, depth + 1);
    }
  };
  for (const text of texts) dig(text, 0);
  return [...found].join('\n').toLowerCase();
}

/** Which of the canaries a decoded text holds, whatever their case. */
export function hits(text: string, canaries: Readonly<Record<string, string>>): string[] {
  return Object.entries(canaries).flatMap(([name, canary]) => (text.includes(canary.toLowerCase()) ? [name] : []));
}
