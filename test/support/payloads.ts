import { historyToJSON, type History } from '@temporalio/common/lib/proto-utils.js';

/** A payload as Temporal holds it. */
export interface Found {
  /** Its place in the history. */
  readonly path: string;
  readonly encoding: string;
  readonly keyId: string;
}

/** Every payload of a history, by its place, as Temporal has it. */
export function payloadsOf(history: History): Found[] {
  const found: Found[] = [];
  const text = (base64: string | undefined) => Buffer.from(base64 ?? '', 'base64').toString();
  const look = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    const { metadata } = value as { metadata?: Record<string, string> };
    if (typeof metadata?.['encoding'] === 'string') {
      found.push({ path, encoding: text(metadata['encoding']), keyId: text(metadata['encryption-key-id']) });
    }
    for (const [name, member] of Object.entries(value)) look(member, `${path}.${name}`);
  };
  look(JSON.parse(historyToJSON(history)), '');
  return found;
}

/** What no codec sees: search attributes, and the SDK's own notes of a local activity (its name, times and attempt). */
export const NEVER_ENCRYPTED = /searchAttributes\.|markerRecordedEventAttributes\.details\.data\./;
