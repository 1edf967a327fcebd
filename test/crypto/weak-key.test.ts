import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readKeysConfig, readServerConfig, readWebhooksConfig, readWorkerConfig } from '../../src/config.ts';
import { weaknessOf } from '../../src/crypto/weak-key.ts';
import { testContentEnv } from '../support/app-parts.ts';

const text = (key: Uint8Array) => Buffer.from(key).toString('base64url');
const strong = () => text(randomBytes(32));

describe('a key', () => {
  it.each<[string, Uint8Array, string]>([
    ['zeros', Buffer.alloc(32), 'is all zeros'],
    ['one byte, over and over', Buffer.alloc(32, 7), 'repeats few bytes'],
    ['fifteen different bytes', Buffer.from(Array.from({ length: 32 }, (_, n) => (n * 37) % 15)), 'repeats few bytes'],
    ['its own half twice', Buffer.concat([randomBytes(32), Buffer.alloc(0)]).fill(0), 'is all zeros'],
    [
      'half of it, twice',
      (() => {
        const half = Buffer.from(Array.from({ length: 16 }, (_, n) => (n * n * 7 + 3 * n) % 251));
        return Buffer.concat([half, half]);
      })(),
      'says the same twice',
    ],
    ['counting up', Buffer.from(Array.from({ length: 32 }, (_, n) => n)), 'counts'],
    ['counting down in sevens', Buffer.from(Array.from({ length: 32 }, (_, n) => (512 - 7 * n) % 256)), 'counts'],
    ['words', Buffer.from('change-me-please: 0123456789 qwerty'), 'is readable text'],
  ])('of %s is weak', (_what, key, weakness) => {
    expect(weaknessOf(key)).toBe(weakness);
  });

  it('that is random is never taken for a weak one', () => {
    for (let n = 0; n < 20_000; n += 1) expect(weaknessOf(randomBytes(n % 2 === 0 ? 32 : 48))).toBeNull();
  });
});

describe('start-up', () => {
  const env = (changes: Record<string, string>) => ({
    DATABASE_URL: 'postgres://handoff@localhost/handoff',
    ...testContentEnv(),
    SHARE_TOKEN_KEYS: `k:${strong()}`,
    SHOW_ONE_TIME_CODES: '',
    ...changes,
  });
  const readers = {
    server: [
      readServerConfig,
      [
        'SHARE_TOKEN_KEYS',
        'KEY_ENCRYPTION_KEYS',
        'CONTENT_ENCRYPTION_KEYS',
        'ACCESS_TOKEN_KEY',
        'BLIND_INDEX_KEY',
        'MEDIA_LINK_KEY',
      ],
    ],
    webhooks: [
      readWebhooksConfig,
      ['KEY_ENCRYPTION_KEYS', 'CONTENT_ENCRYPTION_KEYS', 'BLIND_INDEX_KEY', 'MEDIA_LINK_KEY'],
    ],
    worker: [readWorkerConfig, ['CONTENT_ENCRYPTION_KEYS', 'BLIND_INDEX_KEY']],
    keys: [readKeysConfig, ['KEY_ENCRYPTION_KEYS', 'CONTENT_ENCRYPTION_KEYS', 'BLIND_INDEX_KEY']],
  } as const;
  const each = Object.entries(readers).flatMap(([process, [read, settings]]) =>
    settings.map((setting) => [process, setting, read as (env: Record<string, string>) => object] as const),
  );
  const valueOf = (setting: string, key: string) => (setting.endsWith('_KEYS') ? `k:${key}` : key);

  it.each(each)('of the %s names a weak, short or missing %s, and how to make one', (_process, setting, read) => {
    for (const [value, problem] of [
      [valueOf(setting, text(Buffer.alloc(32))), 'is all zeros'],
      [valueOf(setting, text(Buffer.alloc(32, 0x41))), 'repeats few bytes'],
      [valueOf(setting, text(randomBytes(31))), '32'],
      ...(setting === 'SHARE_TOKEN_KEYS' ? [] : [['', 'is missing'] as const]),
    ] as const) {
      const reading = read(env({ [setting]: value }));
      expect(reading).toEqual({ problems: [expect.stringMatching(new RegExp(`^${setting} .*${problem}`))] });
      expect(JSON.stringify(reading)).toMatch(/randomBytes\(32\)|set it to kid:key/);
      if (value !== '') expect(JSON.stringify(reading)).not.toContain(value.slice(-20));
    }
    expect(read(env({ [setting]: valueOf(setting, strong()) }))).not.toHaveProperty('problems');
  });

  it('refuses one key in two places, and one under two ids', () => {
    const key = strong();
    expect(readServerConfig(env({ ACCESS_TOKEN_KEY: key, MEDIA_LINK_KEY: key }))).toEqual({
      problems: [
        expect.stringMatching(
          /^ACCESS_TOKEN_KEY holds the same key as MEDIA_LINK_KEY|^MEDIA_LINK_KEY holds the same key as ACCESS_TOKEN_KEY/,
        ),
      ],
    });
    expect(readServerConfig(env({ SHARE_TOKEN_KEYS: `a:${key}`, KEY_ENCRYPTION_KEYS: `b:${key}` }))).toMatchObject({
      problems: [expect.stringMatching(/ \([ab]\) as \w+ \([ab]\)/)],
    });
    expect(readServerConfig(env({ KEY_ENCRYPTION_KEYS: `a:${key},b:${key}` }))).toMatchObject({
      problems: [expect.stringContaining('KEY_ENCRYPTION_KEYS (a)')],
    });
  });

  it('needs no key of share tokens', () => {
    expect(readServerConfig(env({ SHARE_TOKEN_KEYS: '' }))).toMatchObject({ shareTokenKeys: null });
  });
});
