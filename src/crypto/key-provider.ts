import { open } from 'node:fs/promises';
import type { Environment } from '../config.ts';

/** Settings that are secret: each is set as it is, or as `<name>_FILE`, which names a file that holds it. */
export const SECRET_SETTINGS = [
  'DATABASE_URL',
  'SHARE_TOKEN_KEYS',
  'KEY_ENCRYPTION_KEYS',
  'CONTENT_ENCRYPTION_KEYS',
  'TEMPORAL_CODEC_KEYS',
  'AUDIT_SIGNING_KEY',
  'ACCESS_TOKEN_KEY',
  'BLIND_INDEX_KEY',
  'MEDIA_LINK_KEY',
  'SMTP_URL',
] as const;
export type SecretSetting = (typeof SECRET_SETTINGS)[number];

/**
 * Where key-encryption keys and other secrets come from. They are asked for once, at start-up; a key management service
 * that has to be called to unwrap them is another one of these.
 */
export interface KeyProvider {
  /** What a setting is set to; null when this provider does not have it. @throws {SecretUnavailable} */
  secret(name: SecretSetting): Promise<string | null>;
}

/** A secret that should be there can't be had. The message names its setting and what to do, and no value. */
export class SecretUnavailable extends Error {
  override readonly name = 'SecretUnavailable';
}

/** Secrets in the environment itself. */
export function environmentSecrets(env: Environment): KeyProvider {
  return { secret: (name) => Promise.resolve(env[name] || null) };
}

/** Secrets in files that the environment names, as secret mounts make them: only their owner and group may read them. */
export function fileSecrets(env: Environment): KeyProvider {
  return {
    secret: async (name) => {
      const path = env[`${name}_FILE`];
      return path === undefined || path === '' ? null : readSecret(`${name}_FILE`, path);
    },
  };
}

const EVERYBODY_ELSE = 0o007;
const MAX_BYTES = 64 * 1024;

async function readSecret(setting: string, path: string): Promise<string> {
  const file = await open(path).catch((error: unknown) => unreadable(setting, error));
  try {
    const { mode, size } = await file.stat();
    if ((mode & EVERYBODY_ELSE) !== 0) {
      throw new SecretUnavailable(
        `${setting} names a file that everybody may read: chmod o= it, or mount it with 0440`,
      );
    }
    if (size > MAX_BYTES)
      throw new SecretUnavailable(`${setting} names a file of more than 64 KiB: no secret is as long`);
    const text = (await file.readFile('utf8').catch((error: unknown) => unreadable(setting, error))).trim();
    if (text === '') throw new SecretUnavailable(`${setting} names a file that is empty: write the secret into it`);
    return text;
  } finally {
    await file.close();
  }
}

function unreadable(setting: string, error: unknown): never {
  const code = (error as NodeJS.ErrnoException).code ?? 'failed';
  throw new SecretUnavailable(`${setting} names a file that cannot be read: ${code}`);
}

/**
 * The environment with every secret in its place, wherever it came from.
 *
 * @returns one line for each that can't be had, or that comes from two places
 */
export async function withSecrets(
  env: Environment,
  providers: readonly KeyProvider[] = [environmentSecrets(env), fileSecrets(env)],
): Promise<{ readonly env: Environment } | { readonly problems: readonly string[] }> {
  const found: Record<string, string> = {};
  const problems: string[] = [];
  for (const name of SECRET_SETTINGS) {
    for (const provider of providers) {
      try {
        const secret = await provider.secret(name);
        if (secret === null) continue;
        if (name in found) problems.push(`${name} is set twice: keep it, or ${name}_FILE`);
        found[name] = secret;
      } catch (error) {
        if (!(error instanceof SecretUnavailable)) throw error;
        problems.push(error.message);
      }
    }
  }
  return problems.length > 0 ? { problems } : { env: { ...env, ...found } };
}
