import type { IncomingHttpHeaders } from 'node:http';
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
  /** Null when no answer came: nobody knows whether it was done. */
  readonly status: number | null;
  readonly body: JsonObject | null;
  /** Milliseconds since 1970. */
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
}
