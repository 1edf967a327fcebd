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

/**
 * The one way in which payloads reach the database and come back (`design.md`, "Data"). Content of a session is sealed with
 * the session's data key; all else without one, with a key of its application.
 */
export interface PayloadSealer {
  sealPayload(context: SealContext, value: JsonValue, key?: DataKey): Buffer;
  /** Opens what `sealPayload` sealed; content of a session comes with its data key before it (SQL's `with_key`). */
  openPayload(context: SealContext, sealed: Buffer): JsonValue;
  /** The same for bytes that are no JSON: files. */
  sealBytes(context: SealContext, bytes: Uint8Array, key?: DataKey): Buffer;
  /** @param key the session's data key, where it does not come before the bytes */
  openBytes(context: SealContext, sealed: Buffer, key?: DataKey): Buffer;
}

/** What sessions' content is sealed with. */
export interface DataKeys {
  /** A new key, made for a session and wrapped for its application. */
  newDataKey(session: { readonly applicationId: string; readonly sessionId: string }): DataKey;
  /** The same key, wrapped for another application: what a mint leaves for the partner. */
  wrapFor(key: DataKey, fromApplicationId: string, toApplicationId: string): DataKey;
}

/** What the verbs seal and open with, and make the keys of sessions with. */
export interface ContentSealer extends PayloadSealer, DataKeys {}

/** A data key as it is stored: wrapped for one application. A clone keeps the key, wrapped for its own application. */
export interface DataKey {
  /** Id of the session that it was made for (UUID): never given to another key. */
  readonly keyId: string;
  readonly wrapped: Buffer;
}

/** A session's data key. */
export interface SessionDataKey {
  readonly sessionId: string;
  readonly key: DataKey;
}

/** What a sealed payload is bound to. A clone copies sealed bytes to the same category and position. */
export interface SealContext {
  readonly applicationId: string;
  readonly sessionId: string;
  readonly category: string;
  readonly position: number;
}
