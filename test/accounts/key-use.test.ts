import { expect, it } from 'vitest';
import { createKeyUse } from '../../src/accounts/key-use.ts';

it('a key’s uses are written once a minute, and what fails harms nobody', async () => {
  const written: string[] = [];
  const use = createKeyUse((keyId) => {
    written.push(keyId);
    return keyId === 'broken' ? Promise.reject(new Error('down')) : Promise.resolve();
  });
  for (const keyId of ['one', 'two', 'one', 'broken', 'two', 'one']) use.note(keyId);
  await use.idle();
  expect(written).toEqual(['one', 'two', 'broken']);
});

it('a use waits for no writing, and the end waits for all', async () => {
  let finish = () => {};
  const use = createKeyUse(() => new Promise<void>((resolve) => (finish = resolve)));
  use.note('one');
  let ended = false;
  const end = use.idle().then(() => (ended = true));
  await Promise.resolve();
  expect(ended).toBe(false);
  finish();
  await end;
  expect(ended).toBe(true);
});
