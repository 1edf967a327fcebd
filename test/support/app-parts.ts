import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createBlindIndex } from '../../src/crypto/blind-index.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createSealer } from '../../src/crypto/payload-seal.ts';
import type { AppDeps } from '../../src/http/app.ts';
import { openMediaStore } from '../../src/media/open-media-store.ts';

/** A key of 32 bytes for tests: as random to look at as start-up asks for. */
export const testKeyBytes = (n: number): Buffer => createHash('sha256').update(`test key ${n}`).digest();

/** The same in base64url, as settings have it. */
export const testKey = (n: number): string => testKeyBytes(n).toString('base64url');

/** Seals as the server of a test does ({@link testContentEnv}). */
export const testSealer = createSealer({
  content: parseKeyRing(`test-1:${testKey(5)}`),
  secrets: parseKeyRing(`test-1:${testKey(6)}`),
});

export const testBlindIndex = createBlindIndex(testKeyBytes(7));

/** Limits that no test reaches by itself. */
export const NO_LIMITS = { reads: 10_000_000, writes: 10_000_000 };

/** What a process of a test is started with besides the database and the share-token keys. */
export function testContentEnv(): Record<string, string> {
  return {
    BLIND_INDEX_KEY: testKey(7),
    KEY_ENCRYPTION_KEYS: `test-1:${testKey(6)}`,
    CONTENT_ENCRYPTION_KEYS: `test-1:${testKey(5)}`,
    MEDIA_LINK_KEY: testKey(8),
    ACCESS_TOKEN_KEY: testKey(9),
    PUBLIC_URL: 'http://localhost:8080',
    MEDIA_STORE: pathToFileURL(mkdtempSync(join(tmpdir(), 'handoff-media-'))).href,
    AUDIT_SIGNING_KEY: testKey(10),
    AUDIT_ANCHORS: pathToFileURL(mkdtempSync(join(tmpdir(), 'handoff-anchors-'))).href,
    RATE_LIMIT_READS: String(NO_LIMITS.reads),
    RATE_LIMIT_WRITES: String(NO_LIMITS.writes),
    REGISTRATIONS_PER_HOUR: '1000',
    SHOW_ONE_TIME_CODES: 'true',
  };
}

/** The parts of an app under test that most tests do not look at. */
export function testAppParts(): Pick<
  AppDeps,
  | 'accessTokenKey'
  | 'mailer'
  | 'showCodes'
  | 'media'
  | 'mediaLinkKey'
  | 'publicUrl'
  | 'rateLimits'
  | 'registrationsPerHour'
> {
  return {
    accessTokenKey: testKeyBytes(9),
    mailer: null,
    showCodes: true,
    media: openMediaStore({ kind: 'directory', folder: mkdtempSync(join(tmpdir(), 'handoff-media-')) }),
    mediaLinkKey: testKeyBytes(8),
    publicUrl: 'http://localhost:8080',
    rateLimits: NO_LIMITS,
    registrationsPerHour: 5,
  };
}
