import { expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { plainSealer } from '../../src/crypto/payload-seal.ts';
import { createSecretSealer } from '../../src/crypto/secret-seal.ts';
import { verifyingSecrets, writeIngestSecret } from '../../src/postgres/ingest-secrets.ts';
import { resealSecrets } from '../../src/postgres/reseal-secrets.ts';
import { openSecret } from '../../src/postgres/webhook-secrets.ts';
import { shareLab } from '../support/share-lab.ts';

const lab = shareLab();
const key = (byte: number) => Buffer.alloc(32, byte).toString('base64url');
const sealerOf = (ring: string) => createSecretSealer(parseKeyRing(ring), plainSealer);

it('seals every secret with the active key, so that the key before it can leave', async () => {
  const applicationId = lab.partner.id;
  const stored = async () => {
    const rows = await lab.rows<{ sealed: Buffer }>(
      `select sealed from webhook_secret union all select sealed from ingest_secret
       union all select previous from ingest_secret where previous is not null`,
    );
    return rows.map(({ sealed }) => sealed);
  };
  const made = await lab.tenants.acrossTenants('provision', async (sql) => {
    await writeIngestSecret(sql, plainSealer, applicationId, 'first secret of didit');
    await writeIngestSecret(sql, plainSealer, applicationId, 'second secret of didit');
    return createWebhookDestination(sql, plainSealer, {
      applicationId,
      url: 'https://receiver.example/reseal',
      subscribedEvents: ['share.received'],
    });
  });
  const reseal = (ring: string) => lab.tenants.acrossTenants('provision', (sql) => resealSecrets(sql, sealerOf(ring)));
  expect(await reseal(`a:${key(1)}`)).toBe(2);
  expect(await reseal(`a:${key(1)}`)).toBe(0);
  expect(await reseal(`b:${key(2)},a:${key(1)}`)).toBe(2);

  const alone = sealerOf(`b:${key(2)}`);
  const sealed = await stored();
  expect(sealed).toHaveLength(3);
  expect(sealed.filter((bytes) => !alone.isCurrent(bytes))).toEqual([]);
  const destinationId = made?.destinationId ?? '';
  const [row] = await lab.rows<{ sealed: Buffer }>('select sealed from webhook_secret where destination_id = $1', [
    destinationId,
  ]);
  if (row === undefined) throw new Error('the destination has a secret');
  expect(openSecret(alone, applicationId, destinationId, row.sealed)).toEqual(made?.secret);
  const { secrets } = await lab.tenants.acrossTenants('ingest', (sql) => verifyingSecrets(sql, alone, applicationId));
  expect(secrets).toEqual(['second secret of didit', 'first secret of didit']);
});
