import { setTimeout as pause } from 'node:timers/promises';
import { createAnchorSigner } from '../../src/audit/anchors.ts';
import type { FindingCode } from '../../src/audit/findings.ts';
import { openAnchorStore } from '../../src/audit/open-anchor-store.ts';
import { verifyDatabase, type DatabaseReport } from '../../src/audit/verify-database.ts';
import { readAuditConfig } from '../../src/config.ts';
import { createSealer } from '../../src/crypto/payload-seal.ts';
import { openAuditSnapshot } from '../../src/postgres/audit-snapshot.ts';
import type { Invariant } from '../invariant.ts';
import { finding } from '../oracle-reading.ts';
import type { Rig } from '../rig.ts';

/** What an outage leaves for a while: events are anchored once a minute, and told of as late five minutes after they came. */
const WAITING: ReadonlySet<FindingCode> = new Set(['not_sealed', 'not_anchored', 'no_anchor']);
const PATIENCE_MS = 120_000;
const LOOK_MS = 2_000;

/** Not one of the eleven: as `npm run audit -- verify` looks at it, with the run's anchors and keys. */
export const auditChain: Invariant = {
  id: 'chain',
  says: 'the audit trail verifies: each event is in its chain, once and as it was sealed, and as its anchors saw it',
  check: async (rig) => {
    const { applications, findings } = await verified(rig);
    const rows = applications.reduce((sum, application) => sum + application.rows, 0);
    const breaks = findings.map(({ code, sentence }) => `${code}: ${sentence}`);
    return finding(`${rows} sealed events of ${applications.length} applications`, breaks);
  },
};

/** Waits a little for what only waits, so that a worker may catch up. */
async function verified(rig: Rig): Promise<DatabaseReport> {
  for (const until = Date.now() + PATIENCE_MS; ; await pause(LOOK_MS)) {
    const report = await verify(rig);
    const onlyWaits = report.findings.length > 0 && report.findings.every(({ code }) => WAITING.has(code));
    if (!onlyWaits || Date.now() >= until) return report;
  }
}

async function verify({ env, postgres }: Rig): Promise<DatabaseReport> {
  const config = readAuditConfig(env);
  if ('problems' in config) throw new Error(config.problems.join('; '));
  const { anchors, anchorSeconds, signingKey, contentEncryptionKeys: content } = config;
  if (anchors === null || signingKey === null) throw new Error('the processes have no anchors, or no key for them');
  const publicKeys = [Buffer.from(createAnchorSigner(signingKey).publicKey, 'base64url')];
  const sealer = content === null ? null : createSealer({ content, secrets: null });
  const store = openAnchorStore(anchors);
  try {
    const open = () => openAuditSnapshot(postgres.url, sealer);
    return await verifyDatabase({ open, anchoring: { store, publicKeys, anchorSeconds } });
  } finally {
    await store.close();
  }
}
