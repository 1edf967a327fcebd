import type { JsonObject } from '../domain/json.ts';
import { ApiRefused, apiOf, type Api } from './api.ts';
import type { Progress } from './progress.ts';
import type { OnWebhook } from './receiver.ts';
import type { SandboxApplication } from './sandbox.ts';

/** Whoever waits to hear of a webhook. */
export interface Heard {
  /** Resolves with the first event of this type for this token, also one that came before. */
  event(type: string, tokenId: string): Promise<JsonObject>;
}

/** The sandbox's two brands, as their own backends would run. */
export interface SimulatedBrands {
  readonly heard: Heard;
  readonly issuer: OnWebhook;
  readonly partner: OnWebhook;
  /** While true, the partner accepts every share that it hears of; later on it leaves the word to whoever tries things. */
  acceptsShares: boolean;
}

/**
 * Gives the partner's word on a share: yes, or no with the code when the import could not succeed.
 *
 * @param asPartner the API with the partner's key
 */
export async function giveWord(asPartner: Api, tokenId: string, say: Progress): Promise<void> {
  const path = `/v1/onboardings/${tokenId}/acknowledge/`;
  try {
    await asPartner('POST', path, { accept: true });
    say('  partner    accepts: POST /v1/onboardings/{token_id}/acknowledge/');
  } catch (error) {
    if (!(error instanceof ApiRefused)) throw error;
    const code = String(error.body['code']);
    say(`  partner    cannot accept (${code}), so it refuses`);
    if (error.status !== 409) await asPartner('POST', path, { accept: false, reason: `not importable: ${code}` });
  }
}

/** What the brands' own backends do with a verified webhook: say so, and as the partner give the word on a share. */
export function simulatedBrands(apiUrl: string, partner: SandboxApplication, say: Progress): SimulatedBrands {
  const asPartner = apiOf(apiUrl, partner.api_key);
  const events = new Map<string, JsonObject>();
  const waiting = new Map<string, (event: JsonObject) => void>();
  const note = (role: string, event: JsonObject) => {
    const type = String(event['webhook_type']);
    // status.updated names its session, the events of a share name their token.
    const key = `${role}:${type}:${String(event['token_id'] ?? event['session_id'])}`;
    events.set(key, event);
    waiting.get(key)?.(event);
  };

  const brands: SimulatedBrands = {
    acceptsShares: true,
    heard: {
      event: (type, id) => {
        const key = `${type}:${id}`;
        const come = events.get(key);
        if (come !== undefined) return Promise.resolve(come);
        return new Promise((resolve) => waiting.set(key, resolve));
      },
    },
    issuer: (event) => {
      say(`  issuer     hears ${String(event['webhook_type'])} (signature verified)`);
      note('issuer', event);
    },
    partner: (event) => {
      const carriesToken = typeof event['share_token'] === 'string';
      say(
        `  partner    hears ${String(event['webhook_type'])} (signature verified${carriesToken ? ', token inside' : ''})`,
      );
      note('partner', event);
      if (!brands.acceptsShares || !carriesToken || event['acceptance'] !== 'acknowledge') return;
      giveWord(asPartner, String(event['token_id']), say).catch((error: unknown) =>
        say(`  partner    failed: ${(error as Error).name}`),
      );
    },
  };
  return brands;
}
