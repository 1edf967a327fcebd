/** What is done to the bytes of one direction, or to both; as toxiproxy names them. */
export type Toxic =
  | { readonly kind: 'latency'; readonly ms: number; readonly jitterMs?: number }
  /** Nothing passes any more, and nobody is told. */
  | { readonly kind: 'timeout' }
  /** Every connection is reset, and so is each new one. */
  | { readonly kind: 'reset_peer' }
  /** Bytes pass in small pieces. */
  | { readonly kind: 'slicer'; readonly bytes: number; readonly delayMs: number }
  | { readonly kind: 'bandwidth'; readonly bytesPerSecond: number }
  /** Nothing listens. */
  | { readonly kind: 'down' };

/** From the client to the server, back, or both. */
export type Direction = 'up' | 'down' | 'both';

/** A way to a server on loopback that can be broken. */
export interface FaultProxy {
  /** `127.0.0.1:port`, the same for its life. */
  readonly address: string;
  /** Breaks the way for connections that are open and for new ones; resolves to what mends it. */
  break(toxic: Toxic, direction?: Direction): Promise<() => Promise<void>>;
  close(): Promise<void>;
}
