import { expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createSealer } from '../../src/crypto/payload-seal.ts';
import { verifyingSecrets, writeIngestSecret } from '../../src/postgres/ingest-secrets.ts';
import { resealSecrets } from '../../src/postgres/reseal-secrets.ts';
import { NONE_UNREADABLE } from '../../src/postgres/rotation/unreadable.ts';
import { openSecret } from '../../src/postgres/webhook-secrets.ts';
import { shareLab } from '../support/share-lab.ts';
import { testKey, testSealer } from '../support/app-parts.ts';

const lab = shareLab();
const sealerOf = (ring: string) =>
  createSealer({ content: parseKeyRing(`test-1:${testKey(5)}`), secrets: parseKeyRing(ring) });

it('seals every secret with the active key, so that the key before it can leave', async () => {
  const applicationId = lab.partner.id;
  const stored = async () => {
    const rows = await lab.rows<{ sealed: Buffer }>(
      `select sealed from webhook_secret union all select sealed from ingest_secret
       union all select previous from ingest_secret where previous is not null`,
    );
    return rows.map(({ sealed }) => sealed);
  };
  const made = await lab.tenants.withTenant(applicationId, async (sql) => {
    await writeIngestSecret(sql, testSealer, applicationId, 'first secret of didit');
    await writeIngestSecret(sql, testSealer, applicationId, 'second secret of didit');
    return createWebhookDestination(sql, testSealer, {
      applicationId,
      url: 'https://receiver.example/reseal',
      subscribedEvents: ['share.received'],
    });
  });
  const reseal = (ring: string) => resealSecrets(lab.tenants, sealerOf(ring));
  const first = `a:${testKey(1)},test-1:${testKey(6)}`;
  expect(await reseal(first)).toEqual({ resealed: 3, unreadable: NONE_UNREADABLE });
  expect(await reseal(first)).toEqual({ resealed: 0, unreadable: NONE_UNREADABLE });
  expect(await reseal(`b:${testKey(2)},a:${testKey(1)}`)).toEqual({ resealed: 3, unreadable: NONE_UNREADABLE });

  const alone = sealerOf(`b:${testKey(2)}`);
  const sealed = await stored();
  expect(sealed).toHaveLength(3);
  expect(sealed.filter((bytes) => bytes.indexOf(alone.currentHeader('secret')) !== 0)).toEqual([]);
  const destinationId = made?.destinationId ?? '';
  const [row] = await lab.rows<{ sealed: Buffer }>('select sealed from webhook_secret where destination_id = $1', [
    destinationId,
  ]);
  if (row === undefined) throw new Error('the destination has a secret');
  expect(openSecret(alone, applicationId, destinationId, row.sealed)).toEqual(made?.secret);
  const { secrets } = await lab.tenants.withTenant(
    applicationId,
    (sql) => verifyingSecrets(sql, alone, applicationId),
    'ingest',
  );
  expect(secrets).toEqual(['second secret of didit', 'first secret of didit']);
});

it('leaves what no key opens as it is, names it, and seals all others, by several servers at once', async () => {
  const make = (n: number) =>
    lab.tenants.acrossTenants('provision', (sql) =>
      createWebhookDestination(sql, sealerOf(`a:${testKey(1)}`), {
        applicationId: lab.issuer.id,
        url: `https://receiver.example/many-${n}`,
        subscribedEvents: ['share.received'],
      }),
    );
  const made = await Promise.all(Array.from({ length: 120 }, (_, n) => make(n)));
  const lost = [made[3], made[110]].map((one) => String(one?.destinationId));
  await lab.rows(`update webhook_secret set sealed = '\\x01026b390000' where destination_id = any ($1::uuid[])`, [
    lost,
  ]);
  const sealer = sealerOf(`c:${testKey(3)},a:${testKey(1)},b:${testKey(2)},test-1:${testKey(6)}`);
  const outcomes = await Promise.all(Array.from({ length: 3 }, () => resealSecrets(lab.tenants, sealer)));
  const rows = await lab.rows<{ of: string }>(
    'select destination_id as of from webhook_secret where substring(sealed for $1) <> $2',
    [sealer.currentHeader('secret').length, sealer.currentHeader('secret')],
  );
  expect(rows.map(({ of }) => of).toSorted()).toEqual(lost.toSorted());
  expect(outcomes.reduce((sum, { resealed }) => sum + resealed, 0)).toBeGreaterThanOrEqual(118);
  const { resealed, unreadable } = await resealSecrets(lab.tenants, sealer);
  expect({ resealed, of: unreadable.first.map(({ id }) => id).toSorted(), rows: unreadable.rows }).toEqual({
    resealed: 0,
    of: lost.toSorted(),
    rows: 2,
  });
});
