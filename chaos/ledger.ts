import { closeSync, fstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
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

/**
 * Opens a ledger on two files of this folder, which is made when missing. Each line is there before the call returns.
 * Memory holds what is looked for; bodies and headers are read back from the file each time they are asked for.
 */
export function openLedger(folder: string): Ledger {
  mkdirSync(folder, { recursive: true });
  const files = {
    calls: openLines<Call>(join(folder, LEDGER_FILES.calls)),
    heard: openLines<Heard>(join(folder, LEDGER_FILES.heard)),
  };
  const calls: Call[] = [];
  const heard: Heard[] = [];
  // What is cut off by a sudden end still comes to an end itself.
  let closed = false;
  return {
    calls,
    heard,
    note: (call) => {
      if (closed) return;
      const read = files.calls.append(call);
      const { body, ...rest } = call;
      calls.push(body === null ? call : withLater(rest, { body: () => read().body }));
    },
    hear: (one) => {
      if (closed) return;
      const read = files.heard.append(one);
      const { rawBody: _rawBody, headers: _headers, ...rest } = one;
      heard.push(withLater(rest, { rawBody: () => read().rawBody, headers: () => read().headers }));
    },
    close: () => {
      closed = true;
      files.calls.close();
      files.heard.close();
    },
  };
}

/** An object with members that are read each time. */
function withLater<Now extends object, Later extends object>(
  now: Now,
  later: { readonly [Name in keyof Later]: () => Later[Name] },
): Now & Later {
  const getters = Object.entries<() => unknown>(later).map(([name, get]) => [name, { get, enumerable: true }] as const);
  return Object.defineProperties(now, Object.fromEntries(getters)) as Now & Later;
}

/** A file of one JSON text a line. */
interface Lines<T> {
  /** @returns reads the line again, as long as the file is open */
  append(value: T): () => T;
  close(): void;
}

function openLines<T>(path: string): Lines<T> {
  const file = openSync(path, 'a+', 0o600);
  let end = fstatSync(file).size;
  return {
    append: (value) => {
      const line = Buffer.from(`${JSON.stringify(value)}\n`);
      const [from, { length }] = [end, line];
      end += writeSync(file, line);
      return () => {
        const again = Buffer.alloc(length);
        readSync(file, again, 0, length, from);
        return JSON.parse(again.toString('utf8')) as T;
      };
    },
    close: () => closeSync(file),
  };
}
