import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Anchor } from '../../src/audit/anchors.ts';
import { auditLab, testSigner } from '../support/audit-lab.ts';
import { resetClock, shiftClock } from '../support/database.ts';

const lab = auditLab();
const application = randomUUID();
let file: string;
let kept: readonly Anchor[];

beforeAll(async () => {
  for (const times of [3, 2, 4]) {
    await lab.write(application, times);
    await lab.seal();
    await lab.anchor();
  }
  const [name = ''] = readdirSync(lab.folder);
  file = join(lab.folder, name);
  kept = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Anchor);
});
beforeEach(() => keep(kept));

const keep = (anchors: readonly object[]) =>
  writeFileSync(file, anchors.map((anchor) => `${JSON.stringify(anchor)}\n`).join(''));
const codes = async () => (await lab.verify()).findings.map(({ code }) => code);
const withoutCopies = (work: () => Promise<void>) => async () => {
  const saved = await lab.rows<{ all: unknown }>('select to_jsonb(a) as all from audit_anchor a');
  await lab.tamper('delete from audit_anchor');
  try {
    await work();
  } finally {
    await lab.tamper(
      'insert into audit_anchor select r.* from jsonb_populate_recordset(null::audit_anchor, $1::jsonb) r',
      [JSON.stringify(saved.map(({ all }) => all))],
    );
  }
};

describe('anchors', () => {
  it('stand at the ends that the chain had', async () => {
    expect(kept.map(({ position }) => position)).toEqual([3, 5, 9]);
    expect(await codes()).toEqual([]);
  });

  it('are made of what the chain holds, whatever somebody writes into its head', async () => {
    const victim = randomUUID();
    await lab.write(victim, 3);
    await lab.seal();
    const lines = () => readFileSync(file, 'utf8').trim().split('\n').length;
    const before = lines();
    const head = (change: string) => lab.rows(`update audit_head set ${change} where application_id = $1`, [victim]);
    await head(`position = position + 5, chain_sha256 = decode(repeat('ab', 32), 'hex')`);
    await lab.anchor();
    await head(`position = position - 5`);
    await lab.anchor();
    expect(lines()).toBe(before);
    await head(
      `chain_sha256 = (select c.chain_sha256 from audit_chain c where c.application_id = $1 and c.position = audit_head.position)`,
    );
    await lab.anchor();
    expect(lines()).toBe(before + 1);
    expect(await codes()).toEqual([]);
    for (const table of ['event', 'event_payload', 'audit_chain', 'audit_head', 'audit_anchor']) {
      await lab.tamper(`delete from ${table} where application_id = $1`, [victim]);
    }
  });

  it('may come twice', async () => {
    keep([...kept, ...kept]);
    expect(await codes()).toEqual([]);
  });

  it(
    'have to be there',
    withoutCopies(async () => {
      rmSync(lab.folder, { recursive: true });
      expect(await codes(), 'what is younger than five minutes may wait for its first').toEqual([]);
      try {
        await shiftClock(lab.database.pool, '301 seconds');
        expect(await codes()).toEqual(['no_anchor']);
        expect((await lab.verify(null)).findings).toEqual([]);
      } finally {
        await resetClock(lab.database.pool);
        await lab.store.append(kept);
      }
    }),
  );

  it('are missed by the copies in the database', async () => {
    keep(kept.slice(0, 1));
    const { findings } = await lab.verify();
    expect(findings).toMatchObject([{ code: 'anchor_removed', applicationId: application, position: 5 }]);
    expect(findings[0]?.sentence).toContain('lacks 2 of the anchors');
  });

  it(
    'count without copies, and need no more than one after what changed',
    withoutCopies(async () => {
      keep(kept.slice(2));
      expect(await codes()).toEqual([]);
    }),
  );

  it('are not made up by whoever writes the database', async () => {
    const forged = testSigner(13).sign({ ...(kept[2] as Anchor), chain_sha256: 'ee'.repeat(32) });
    await lab.tamper('update audit_anchor set key_id = $1 where position = 9', [forged.key_id]);
    expect(await codes()).toEqual(['anchor_key_unknown']);
    await lab.tamper('update audit_anchor set key_id = $1, position = 8 where position = 9', [lab.signer.keyId]);
    expect(await codes()).toEqual(['anchor_forged']);
    await lab.tamper('update audit_anchor set position = 9 where position = 8');
    expect(await codes()).toEqual([]);
  });

  it('of another chain fail it, as do anchors of an application that has none', async () => {
    const [first, second] = kept as [Anchor, Anchor];
    keep([...kept, lab.signer.sign({ ...second, chain_sha256: first.chain_sha256 })]);
    expect(await codes()).toEqual(['recomputed']);
    keep([...kept, lab.signer.sign({ ...second, application_id: randomUUID() })]);
    expect(await codes()).toEqual(['tail_cut']);
  });

  it('that are forged or unsigned are named', async () => {
    keep([...kept, { ...kept[0], position: 4 }, { ...kept[0], signature: undefined }]);
    expect(await codes()).toEqual(['anchor_forged', 'anchor_unsigned']);
  });
});
