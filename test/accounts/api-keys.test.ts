import { describe, expect, it } from 'vitest';
import { apiKeyDigest, newApiKey, readKeyId } from '../../src/accounts/api-keys.ts';
import { createKeyChecker, type StoredApiKey } from '../../src/accounts/key-checker.ts';
import { ALL_PRIVILEGES, allows, RESOURCES } from '../../src/accounts/privileges.ts';

const APPLICATION = '0198c0de-0000-7000-8000-000000000001';

describe('the text of a key', () => {
  it('says its environment and its id, and ends in what is shown of it', () => {
    const key = newApiKey('sandbox');
    expect(key.text).toMatch(/^hnd_sandbox_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}$/);
    expect(readKeyId(key.text)).toBe(key.keyId);
    expect(key.text.endsWith(key.lastFour)).toBe(true);
    expect(key.sha256).toEqual(apiKeyDigest(key.text));
    expect(newApiKey('live').text).toMatch(/^hnd_live_/);
  });

  it('never repeats', () => {
    const texts = Array.from({ length: 1_000 }, () => newApiKey('live').text);
    expect(new Set(texts).size).toBe(1_000);
    expect(texts.every((text) => readKeyId(text) !== null)).toBe(true);
  });

  it('shows every typo of one character, and every cut', () => {
    const { text } = newApiKey('sandbox');
    for (let at = 0; at < text.length; at += 1) {
      const typo = `${text.slice(0, at)}${text[at] === 'a' ? 'b' : 'a'}${text.slice(at + 1)}`;
      expect(readKeyId(typo), `typo at ${at}`).toBeNull();
      expect(readKeyId(text.slice(0, at)), `cut at ${at}`).toBeNull();
    }
    expect(readKeyId(`${text}\n`)).toBeNull();
    expect(readKeyId(` ${text}`)).toBeNull();
  });
});

describe('privileges', () => {
  it('let write read, and nothing else', () => {
    expect(allows({ sessions: 'write' }, 'sessions', 'read')).toBe(true);
    expect(allows({ sessions: 'read' }, 'sessions', 'read')).toBe(true);
    expect(allows({ sessions: 'read' }, 'sessions', 'write')).toBe(false);
    expect(allows({ sessions: 'write' }, 'onboardings', 'read')).toBe(false);
    expect(RESOURCES.every((resource) => allows(ALL_PRIVILEGES, resource, 'write'))).toBe(true);
  });
});

describe('the check of keys', () => {
  function checker(stored: Map<string, StoredApiKey>) {
    const looked: string[] = [];
    const check = createKeyChecker((keyId) => {
      looked.push(keyId);
      return Promise.resolve(stored.get(keyId) ?? null);
    });
    return { check, looked };
  }
  const stored = (key: ReturnType<typeof newApiKey>, living = true): [string, StoredApiKey] => [
    key.keyId,
    {
      keyId: key.keyId,
      applicationId: APPLICATION,
      sha256: key.sha256,
      privileges: { sessions: 'read' },
      allowedAddresses: ['10.0.0.0/8'],
      applicationDeleted: false,
      living,
    },
  ];

  it('tells the caller of a key, and looks a typo up nowhere', async () => {
    const key = newApiKey('sandbox');
    const { check, looked } = checker(new Map([stored(key)]));
    expect(await check(key.text)).toEqual({
      keyId: key.keyId,
      applicationId: APPLICATION,
      privileges: { sessions: 'read' },
      allowedAddresses: ['10.0.0.0/8'],
      applicationDeleted: false,
    });
    expect(await check(`${key.text}x`)).toBeNull();
    expect(await check('')).toBeNull();
    expect(looked).toEqual([key.keyId]);
  });

  it('refuses an unknown key, another secret under a known id, and a key that no longer lives', async () => {
    const known = newApiKey('sandbox');
    const dead = newApiKey('sandbox');
    const { check } = checker(new Map([stored(known), stored(dead, false)]));
    const other = newApiKey('sandbox');
    // The same id with another secret and a right checksum.
    const { check: forged } = checker(new Map([[other.keyId, { ...stored(known)[1], keyId: other.keyId }]]));
    expect(await check(other.text)).toBeNull();
    expect(await forged(other.text)).toBeNull();
    expect(await check(dead.text)).toBeNull();
  });

  it('shares one look-up among calls at once, and asks again for what was unknown or failed', async () => {
    const key = newApiKey('sandbox');
    const rows = new Map<string, StoredApiKey>();
    const { check, looked } = checker(rows);
    expect(await check(key.text)).toBeNull();
    rows.set(...stored(key));
    const answers = await Promise.all([check(key.text), check(key.text), check(key.text)]);
    expect(answers.every((answer) => answer?.applicationId === APPLICATION)).toBe(true);
    expect(looked).toHaveLength(2);

    let fail = true;
    const flaky = createKeyChecker((keyId) =>
      fail ? Promise.reject(new Error('down')) : Promise.resolve(rows.get(keyId) ?? null),
    );
    await expect(flaky(key.text)).rejects.toThrow('down');
    fail = false;
    expect(await flaky(key.text)).not.toBeNull();
  });
});
