import { expect, it } from 'vitest';
import { updateDestination } from '../../src/postgres/change-destination.ts';
import { deleteDestination } from '../../src/postgres/webhook-destinations.ts';
import { moveDeliveries } from '../../src/relay/webhook-upkeep.ts';
import { deliveryLab } from '../support/delivery-lab.ts';

const lab = deliveryLab();

it.each([
  ['disabled', 'held', false],
  ['deleted', 'stopped', true],
])('nothing is sent to a destination that was %s; what it would get is %s', async (how, state, ended) => {
  const applicationId = await lab.application();
  const destinationId = await lab.destination(applicationId);
  await lab.tell(applicationId, 2);
  await lab.tenants.withTenant(applicationId, async (sql) => {
    if (how === 'deleted') await deleteDestination(sql, applicationId, destinationId);
    else await updateDestination(sql, applicationId, destinationId, { enabled: false });
  });
  expect(await lab.claimAll()).toEqual([]);
  await moveDeliveries(lab.tenants);
  expect(
    await lab.rows('select state, attempts, ended_at is not null as ended from delivery where destination_id = $1', [
      destinationId,
    ]),
  ).toEqual([
    { state, attempts: 0, ended },
    { state, attempts: 0, ended },
  ]);
});
