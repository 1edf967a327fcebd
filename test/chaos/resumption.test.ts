import { expect, test } from 'vitest';
import { startResumption } from '../../chaos/resumption.ts';
import { shareLab, userDocument } from '../support/share-lab.ts';

const lab = shareLab();
const rig = () => ({ postgres: { url: lab.database.url } });
const death = (...about: string[]) => ({ point: 'mintShareToken:before', pid: 1, at: Date.now(), about });
const open = async () => lab.open(await lab.takeIn(userDocument()));

test('counts the time until somebody takes the next step', async () => {
  const resumption = startResumption(rig());
  const tokenId = await open();
  const met = death(tokenId);
  await resumption.died(met);
  await lab.runMint(tokenId);
  await resumption.wentOn(met, 60_000);
  const { steps, stuck } = await resumption.end();
  expect(steps).toEqual([{ what: 'onboarding', point: 'mintShareToken:before', seconds: expect.any(Number) }]);
  expect(stuck).toEqual([]);
});

test('says what nobody goes on with', async () => {
  const resumption = startResumption(rig(), 500);
  const tokenId = await open();
  await resumption.died(death(tokenId));
  const { steps, stuck } = await resumption.end();
  expect([steps, stuck]).toEqual([[], [`onboarding ${tokenId} after mintShareToken:before`]]);
});

test('waits for nothing of ours where a partner has the word, or where all is over', async () => {
  const resumption = startResumption(rig(), 500);
  const waiting = await lab.start(await lab.takeIn(userDocument()));
  await lab.database.pool.query(`update onboarding set status = 'waiting' where token_id = $1`, [waiting]);
  await resumption.died(death(waiting));
  expect(await resumption.end()).toEqual({ steps: [], stuck: [] });
});
