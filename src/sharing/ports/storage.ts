import type { JsonValue } from '../../domain/json.ts';

export type Environment = 'sandbox' | 'live';

/** How a session came to be: by an API call, by a hosted flow, or as a record of elsewhere. */
export type SessionType = 'API' | 'HOSTED' | 'MIGRATED';

/** What sessions are found by without being readable: keyed hashes of exact values, different in every application. */
export interface BlindIndex {
  /** The stored form of a value in an application (16 bytes); the value is normalised first. */
  term(applicationId: string, field: SearchField, value: string): Buffer;
}

export type SearchField = 'name' | 'email' | 'document_number';

/** The one way in which payloads reach the database and come back (`design.md`, "Data"). */
export interface PayloadSealer {
  sealPayload(context: SealContext, value: JsonValue): Buffer;
  openPayload(context: SealContext, sealed: Buffer): JsonValue;
}

/** What a sealed payload is bound to. A clone copies sealed bytes to the same category and position. */
export interface SealContext {
  readonly applicationId: string;
  readonly sessionId: string;
  readonly category: string;
  readonly position: number;
}
