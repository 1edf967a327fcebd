import type { JsonValue } from '../domain/json.ts';
import type { PayloadSealer, SealContext } from '../sharing/ports.ts';

/** Stored bytes can't be opened; the message names the row and never the content. */
export class PayloadUnreadable extends Error {
  override readonly name = 'PayloadUnreadable';
  readonly code: 'unknown_version' | 'malformed';

  constructor(code: 'unknown_version' | 'malformed', context: SealContext, reason: string) {
    super(`payload ${context.category}[${context.position}] of session ${context.sessionId}: ${reason}`);
    this.code = code;
  }
}

const PLAIN = 0x00;

/**
 * Version 0x00: UTF-8 JSON, not encrypted. The context serves error messages only. The first byte of
 * a payload names its version, so that a later one (encryption) needs no change in callers.
 */
export const plainSealer: PayloadSealer = {
  sealPayload: (_context, value) => Buffer.concat([Buffer.of(PLAIN), Buffer.from(JSON.stringify(value))]),

  openPayload(context, sealed) {
    const version = sealed[0];
    if (version === undefined)
      throw new PayloadUnreadable('malformed', context, 'empty; restore the row from a backup');
    if (version !== PLAIN) {
      const reason = `sealed by version 0x${version.toString(16).padStart(2, '0')}, unknown here; run a release that knows it`;
      throw new PayloadUnreadable('unknown_version', context, reason);
    }
    try {
      return JSON.parse(sealed.toString('utf8', 1)) as JsonValue;
    } catch {
      // The parser's own message quotes the content.
      throw new PayloadUnreadable('malformed', context, 'not JSON; restore the row from a backup');
    }
  },
};
