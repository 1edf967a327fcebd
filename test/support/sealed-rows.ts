import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { sealAddress } from '../../src/accounts/addresses.ts';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import type { Sealer } from '../../src/crypto/payload-seal.ts';
import type { MediaStore } from '../../src/media/ports.ts';
import { openFile } from '../../src/media/sealed-file.ts';
import { storeFiles } from '../../src/media/store-files.ts';
import { deliveryLedger, dispatchEvents } from '../../src/postgres/deliveries.ts';
import { entityStore } from '../../src/postgres/entities.ts';
import { writeIngestSecret } from '../../src/postgres/ingest-secrets.ts';
import { readDataKey } from '../../src/postgres/data-keys.ts';
import { insertSessionMedia } from '../../src/postgres/media.ts';
import { newId } from '../../src/postgres/new-id.ts';
import { SEALED_COLUMNS, type SealedRow } from '../../src/postgres/rotation/sealed-columns.ts';
import { signingKeyContext } from '../../src/postgres/signing-keys.ts';
import { openImport, takePartIn } from '../../src/sharing/import-file.ts';
import type { DataKey } from '../../src/sharing/ports.ts';
import { recordOf } from './delivery-lab.ts';
import { someFile } from './files.ts';
import { businessDocument, userDocument, verbs, type LabBrand, type ShareLab } from './share-lab.ts';
import { personRecord } from './import-files.ts';

/** The verbs over a lab's database, with a ring of keys of their own. */
export const verbsWith = (lab: ShareLab, sealer: Sealer) =>
  verbs(lab.tenants, { issuer: lab.issuer, partner: lab.partner }, sealer);

/** A session with a file; the file's bytes. */
export async function takeInWithFile(
  lab: ShareLab,
  sealer: Sealer,
  media: MediaStore,
): Promise<{ sessionId: string; bytes: Buffer }> {
  const does = verbsWith(lab, sealer);
  const applicationId = lab.issuer.id;
  const sessionId = await does.takeIn(userDocument());
  const bytes = someFile('image/png');
  const key = await lab.tenants.withTenant(applicationId, (tx) => readDataKey(tx, applicationId, sessionId));
  if (key === null) throw new Error('a session has a data key');
  const file = {
    session: { applicationId, sessionId, key },
    mediaId: newId(),
    contentType: 'image/png',
    bytes,
  } as const;
  const stored = await storeFiles({ tenants: does.handoff, media }, [file]);
  await lab.tenants.withTenant(applicationId, async (tx) =>
    insertSessionMedia(tx, { applicationId, sessionId }, stored),
  );
  return { sessionId, bytes };
}

/** Has every column that is sealed hold something, by the verbs that write it. */
export async function fillEveryColumn(lab: ShareLab, sealer: Sealer, media: MediaStore): Promise<void> {
  const does = verbsWith(lab, sealer);
  const { issuer, partner } = lab;
  const destination = await lab.tenants.acrossTenants('provision', (sql) =>
    createWebhookDestination(sql, sealer, {
      applicationId: partner.id,
      url: `https://receiver.example/${randomUUID()}`,
      subscribedEvents: ['status.updated'],
    }),
  );
  const person = await does.takeIn(userDocument({ vendor_data: 'somebody' }));
  const business = await does.takeIn(businessDocument([person]));
  // One token that is open, one that is spent.
  await does.mint(business);
  const { tokenId } = await does.mint((await takeInWithFile(lab, sealer, media)).sessionId);
  const clone = await does.redeem(tokenId);

  await lab.tenants.acrossTenants('relay', (tx) => dispatchEvents(tx, { tokenId }));
  const ledger = deliveryLedger(lab.tenants, sealer);
  const { claimed } = await ledger.claimDue(10);
  const mine = claimed.find(({ destinationId }) => destinationId === destination?.destinationId);
  await ledger.record(recordOf(mine, 'delivered', { responseHead: `took ${clone.sessionId}` }));

  const refused = await does.start(await does.takeIn(userDocument()));
  await does.acknowledge(refused, { accept: false, reason: 'We know them by another name.' });
  const other = await does.newBrand();
  const connection = await does.connect(issuer, other);
  await does.changeConnection(connection, issuer, { agreement: AGREEMENT });
  await lab.tenants.withTenant(issuer.id, async (tx) => {
    const entities = entityStore(tx, sealer);
    const entity = await entities.lock({ applicationId: issuer.id, kind: 'user', name: 'somebody' });
    if (entity === null) throw new Error('a session makes an entity');
    const change = { previousStatus: null, newStatus: null, previousValue: null, newValue: null, changedFields: [] };
    const comment = { ...change, type: 'METADATA_CHANGED' } as never;
    entities.update(issuer.id, entity.entityId, { ...entity, profile: { full_name: 'Some Body' } }, [comment]);
  });
  await importFile(lab, sealer, issuer);
  const accountId = newId();
  await lab.rows('insert into account (account_id, email_index, email) values ($1, $2, $3)', [
    accountId,
    Buffer.from(accountId),
    sealAddress({ sealer }, accountId, 'some@body.example'),
  ]);
  await lab.tenants.withTenant(issuer.id, async (tx) => {
    for (const secret of ['first secret of didit', 'second secret of didit']) {
      await writeIngestSecret(tx, sealer, issuer.id, `${secret} ${randomUUID()}`);
    }
  });
  await lab.rows(`insert into signing_key (kid, state, retired_at, sealed) values ($1, 'retiring', now(), $2)`, [
    `kid-${accountId}`,
    sealer.sealBytes(signingKeyContext(`kid-${accountId}`), Buffer.alloc(32, 1)),
  ]);
}

const AGREEMENT = {
  reference: 'DSA-1',
  documentSha256: 'a'.repeat(64),
  legalBasis: 'contract',
  purpose: 'onboarding',
  signer: 'Signed By Somebody',
  signedOn: '2026-01-01',
  validUntil: null,
};

/** A file of two parts, of which the first is in, with a row that could not be. */
async function importFile(lab: ShareLab, sealer: Sealer, { id, workflows }: LabBrand): Promise<void> {
  const { handoff } = verbsWith(lab, sealer);
  const line = (row: number, text: string) => ({ columns: null, rows: [{ row, text }] });
  const importId = await handoff.withTenant(id, (tx) =>
    Promise.resolve(
      openImport(
        tx,
        {
          applicationId: id,
          environment: 'sandbox',
          importType: 'user_verification',
          provider: 'earlier',
          workflow: { workflowId: workflows.user, version: 1 },
          filename: 'people.ndjson',
          format: 'ndjson',
          parts: [line(1, 'not a record'), line(2, JSON.stringify(personRecord(randomUUID())))],
          totalBytes: 100,
          createdBy: 'key',
        },
        { kind: 'system', id: null },
      ),
    ),
  );
  const nobody = { takeFiles: () => Promise.resolve([]) };
  await takePartIn((work) => handoff.acrossTenants('session_import', work), importId, 0, nobody);
}

/**
 * Opens everything that is stored: every row of every sealed column, every part of every session, every file.
 *
 * @returns how many there are, by table and column
 */
export async function openEverything(
  lab: ShareLab,
  sealer: Sealer,
  media: MediaStore,
  but: readonly string[] = [],
): Promise<Record<string, number>> {
  const opened: Record<string, number> = {};
  for (const column of SEALED_COLUMNS) {
    const id = `array[${Object.keys(column.key)
      .map((part) => `t.${part}::text`)
      .join(', ')}]`;
    const rows = await lab.rows<SealedRow & Record<string, unknown>>(
      `select ${id} as id, ${column.applicationId ?? 't.application_id'}::text as "applicationId",
         ${column.subject ?? 'null'}::text as subject, t.${column.column} as sealed
       from ${column.table} t ${column.join ?? ''} where t.${column.column} is not null`,
    );
    const mine = rows.filter((row) => !but.includes(row.id.join('/')));
    for (const row of mine) {
      const place = column.context(row);
      const { applicationId } = row;
      if (column.holdsDataKeys !== true) sealer.openBytes(place, row.sealed);
      else sealer.wrapFor({ keyId: place.sessionId, wrapped: row.sealed }, applicationId, applicationId);
    }
    opened[`${column.table}.${column.column}`] = mine.length;
  }
  const does = verbsWith(lab, sealer);
  const sessions = await lab.rows<{ sessionId: string; applicationId: string }>(
    'select session_id as "sessionId", application_id as "applicationId" from session',
  );
  for (const { sessionId, applicationId } of sessions) {
    expect(await does.decision({ id: applicationId } as LabBrand, sessionId)).not.toBeNull();
  }
  const files = await lab.rows<{ object: string; mediaId: string; sessionId: string; applicationId: string } & DataKey>(
    `select m.object_key as object, m.media_id as "mediaId", m.session_id as "sessionId",
       m.application_id as "applicationId", k.key_id as "keyId", k.wrapped
     from session_media m join session_key k using (session_id)`,
  );
  for (const { object, mediaId, sessionId, applicationId, ...key } of files) {
    const stored = await media.get(object);
    if (stored === null) throw new Error('the store has lost a file');
    openFile(sealer, { applicationId, sessionId, key }, mediaId, stored);
  }
  return { ...opened, sessions: sessions.length, files: files.length };
}
