import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CHECK_CATEGORIES, type SessionKind } from '../../src/domain/decision-categories.ts';
import { SANDBOX_SCENARIOS } from '../../src/domain/sandbox/scenarios.ts';
import { directoryStore } from '../../src/media/directory-store.ts';
import { storeSandboxFiles } from '../../src/media/sandbox-files.ts';
import { openFile } from '../../src/media/sealed-file.ts';
import { newId } from '../../src/postgres/new-id.ts';
import type { HandoffTransaction, SessionRow } from '../../src/sharing/ports.ts';
import { simulateSession } from '../../src/sharing/simulate.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';
import { shareLab } from '../support/share-lab.ts';

const lab = shareLab();
const media = directoryStore(mkdtempSync(join(tmpdir(), 'handoff-media-')));
const home = { session_url: null, metadata: null, expected_details: null, contact_details: null, callback: null };

it.each<[SessionKind]>([['user'], ['business']])(
  'every place of a simulated %s has a file of its own, which its session’s key opens',
  async (kind) => {
    const applicationId = lab.issuer.id;
    const tx = { sealer: testSealer, blindIndex: testBlindIndex, newId } as unknown as HandoffTransaction;
    const seen: string[] = [];
    for (const { status } of SANDBOX_SCENARIOS) {
      const sessionId = newId();
      const main = { applicationId, sessionId, key: testSealer.newDataKey({ applicationId, sessionId }) };
      const files = await storeSandboxFiles({ tenants: lab.handoff, media }, main, kind);
      const session = { applicationId, sessionId, kind, status, features: [] } as unknown as SessionRow;
      const now = '2026-01-01T00:00:00.000000Z';
      const made = simulateSession(tx, {
        session,
        home,
        checks: CHECK_CATEGORIES[kind],
        now,
        peopleWorkflow: null,
        files,
      });
      for (const { session: one, content, files: given } of made) {
        for (const { mediaId, objectKey } of given) {
          const stored = await media.get(objectKey ?? '');
          if (stored === null) throw new Error('a drawing was stored');
          expect(
            openFile(testSealer, { ...one, key: content.key }, mediaId, stored)
              .subarray(1, 4)
              .toString(),
          ).toBe('PNG');
          seen.push(mediaId);
        }
      }
    }
    expect(seen.length).toBeGreaterThan(10);
    expect(new Set(seen).size).toBe(seen.length);
  },
);
