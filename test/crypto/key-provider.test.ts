import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readWorkerConfig } from '../../src/config.ts';
import { SECRET_SETTINGS, withSecrets, type KeyProvider } from '../../src/crypto/key-provider.ts';
import { testContentEnv, testKeyBytes } from '../support/app-parts.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-secrets-'));
let files = 0;
function file(text: string, mode = 0o400): string {
  const path = join(folder, `secret-${(files += 1)}`);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

it('takes secrets from the environment, and from files that it names, as secret mounts have them', async () => {
  const given = { LOG_LEVEL: 'info', BLIND_INDEX_KEY: 'in the environment', SHARE_TOKEN_KEYS: '' };
  const read = await withSecrets({
    ...given,
    SHARE_TOKEN_KEYS_FILE: file('kid:key\n'),
    DATABASE_URL_FILE: file('postgres://in-a-file/handoff', 0o440),
  });
  expect(read).toMatchObject({
    env: { ...given, SHARE_TOKEN_KEYS: 'kid:key', DATABASE_URL: 'postgres://in-a-file/handoff' },
  });
});

it('configures a process: the ring in a file opens what the ring in a variable sealed', async () => {
  const { CONTENT_ENCRYPTION_KEYS: ring = '', ...rest } = testContentEnv();
  const read = await withSecrets({
    ...rest,
    DATABASE_URL: 'postgres://db/handoff',
    CONTENT_ENCRYPTION_KEYS_FILE: file(ring),
  });
  if ('problems' in read) throw new Error(read.problems.join());
  const config = readWorkerConfig(read.env);
  if ('problems' in config) throw new Error(config.problems.join());
  expect(config.contentEncryptionKeys.activeKid).toBe('test-1');
  expect(config.contentEncryptionKeys.get('test-1')).toEqual(testKeyBytes(5));
});

it('tells of every secret that can not be had, and repeats none', async () => {
  const read = await withSecrets({
    ACCESS_TOKEN_KEY: 'told-once',
    ACCESS_TOKEN_KEY_FILE: file('told-twice'),
    BLIND_INDEX_KEY_FILE: join(folder, 'missing'),
    MEDIA_LINK_KEY_FILE: file(''),
    KEY_ENCRYPTION_KEYS_FILE: file('for-everybody', 0o444),
    SMTP_URL_FILE: file('x'.repeat(70_000)),
    SHARE_TOKEN_KEYS_FILE: folder,
  });
  if (!('problems' in read)) throw new Error('there are problems');
  expect(read.problems.map((line) => line.split(' ')[0])).toEqual([
    'SHARE_TOKEN_KEYS_FILE',
    'KEY_ENCRYPTION_KEYS_FILE',
    'ACCESS_TOKEN_KEY',
    'BLIND_INDEX_KEY_FILE',
    'MEDIA_LINK_KEY_FILE',
    'SMTP_URL_FILE',
  ]);
  const told = read.problems.join('\n');
  expect(told).toMatch(/BLIND_INDEX_KEY_FILE names a file that cannot be read: ENOENT/);
  expect(told).toMatch(/KEY_ENCRYPTION_KEYS_FILE names a file that everybody may read/);
  for (const secret of ['told-once', 'told-twice', 'for-everybody', 'xxx']) expect(told).not.toContain(secret);
});

it('lets a key management service stand beside them', async () => {
  const service: KeyProvider = {
    secret: (name) => Promise.resolve(name === 'CONTENT_ENCRYPTION_KEYS' ? 'unwrapped:key' : null),
  };
  expect(await withSecrets({ LOG_LEVEL: 'info' }, [service])).toEqual({
    env: { LOG_LEVEL: 'info', CONTENT_ENCRYPTION_KEYS: 'unwrapped:key' },
  });
  expect(SECRET_SETTINGS).toContain('CONTENT_ENCRYPTION_KEYS');
});
