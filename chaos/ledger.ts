import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import type { JsonObject } from '../src/domain/json.ts';

/** A call of a load client, with what came of it. Written to `calls.ndjson` as it ends. */
export interface Call {
  /** What the client wanted, e.g. `mint`, `import`, `acknowledge`, `revoke`, `take-in`. */
  readonly wish: string;
  /** Id of the application that called. */
  readonly as: string;
  readonly method: string;
  readonly path: string;
  readonly idempotencyKey: string | null;
  /** The token that the call was about, where the client knew it (UUID). */
  readonly tokenId: string | null;
  /** Null when no answer came: nobody knows whether it was done. */
  readonly status: number | null;
  /** An earlier call's answer again, as `Idempotent-Replayed` says. */
  readonly replayed: boolean;
  readonly body: JsonObject | null;
  /** Why the story does not explain this answer; null when it does. */
  readonly unexpected: string | null;
  /** When it began, in milliseconds since 1970. */
  readonly at: number;
  readonly ms: number;
}

/** A webhook that reached the partner simulator. Written to `webhooks.ndjson` before it is answered. */
export interface Heard {
  /** Id of the application whose endpoint it is. */
  readonly as: string;
  readonly rawBody: string;
  readonly headers: IncomingHttpHeaders;
  /** What it was answered with. */
  readonly status: number;
  readonly at: number;
}

/** What clients were told and partners heard, whatever the service believes. */
export interface Ledger {
  readonly calls: readonly Call[];
  readonly heard: readonly Heard[];
  note(call: Call): void;
  hear(heard: Heard): void;
  /** Closes the files; what was noted can still be read. */
  close(): void;
}

/** The files that a ledger keeps in its folder. They hold what clients saw, personal data included. */
export const LEDGER_FILES = { calls: 'calls.ndjson', heard: 'webhooks.ndjson' } as const;

/** Opens a ledger on two files of this folder, which is made when missing. Each line is there before the call returns. */
export function openLedger(folder: string): Ledger {
  mkdirSync(folder, { recursive: true });
  const calls: Call[] = [];
  const heard: Heard[] = [];
  const files = {
    calls: openSync(join(folder, LEDGER_FILES.calls), 'a', 0o600),
    heard: openSync(join(folder, LEDGER_FILES.heard), 'a', 0o600),
  };
  // What is cut off by a sudden end still comes to an end itself.
  let closed = false;
  return {
    calls,
    heard,
    note: (call) => {
      if (closed) return;
      writeSync(files.calls, `${JSON.stringify(call)}\n`);
      calls.push(call);
    },
    hear: (one) => {
      if (closed) return;
      writeSync(files.heard, `${JSON.stringify(one)}\n`);
      heard.push(one);
    },
    close: () => {
      closed = true;
      closeSync(files.calls);
      closeSync(files.heard);
    },
  };
}
