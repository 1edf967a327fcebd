import { expect, it } from 'vitest';
import { prepareSigningKeys } from '../../src/postgres/signing-keys.ts';
import { testContentEnv, testSealer } from '../support/app-parts.ts';
import { codeBlocks, document } from '../support/markdown.ts';
import { runOwnCommand } from '../support/own-command.ts';
import { shareLab } from '../support/share-lab.ts';

const lab = shareLab();

it('the commands of docs/operations.md rotate and remove a key', async () => {
  await lab.rows('delete from signing_key');
  await lab.handoff.acrossTenants('keys', (tx, sql) =>
    prepareSigningKeys({ tx, sql, sealer: testSealer, actor: { kind: 'system', id: null } }, null),
  );
  const [first] = await lab.rows<{ kid: string }>('select kid from signing_key');
  const commands = codeBlocks(document('docs/operations.md'), 'sh')
    .flatMap((block) => block.split('\n'))
    .filter((line) => line.startsWith('npm run keys -- '))
    .map((line) => line.replace('npm run keys -- ', '').replace('<kid>', first?.kid ?? ''));
  expect(commands.map((command) => command.split(' ')[0])).toEqual(['status', 'rotate', 'remove']);
  const env = { PATH: process.env['PATH'], ...testContentEnv(), DATABASE_URL: lab.database.url };
  for (const command of commands) {
    expect(await runOwnCommand('keys.ts', command.split(' '), env)).toMatchObject({ code: 0, stderr: '' });
  }
  expect(await lab.rows('select state from signing_key order by created_at')).toEqual([
    { state: 'removed' },
    { state: 'active' },
  ]);
  expect(
    await lab.rows(`select count(*)::int as named from event where key_id is not null and actor_id = 'ada'`),
  ).toEqual([{ named: 3 }]);
});
