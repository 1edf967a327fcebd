import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const COMMAND = fileURLToPath(new URL('../../chaos/run.ts', import.meta.url));

test.for([
  [['--json', '/none/report.json'], '--json names a file that cannot be written: ENOENT'],
  [['--minutes='], '--minutes must be a number from 0.1 on.'],
  [['--fault', 'F1'], "Unknown option '--fault'"],
])('called with %j it starts nothing, and says what is wrong', async ([args, problem]) => {
  const refused = promisify(execFile)(process.execPath, [COMMAND, ...(args as string[])]);
  await expect(refused).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/\nnpm run chaos -- --help says what there is\.\n$/) as string,
  });
  await expect(refused).rejects.toMatchObject({ stderr: expect.stringContaining(problem as string) as string });
});

test('an option that went to npm starts nothing either', async () => {
  const env = { ...process.env, npm_lifecycle_event: 'chaos', npm_config_quick: 'true' };
  const refused = promisify(execFile)(process.execPath, [COMMAND], { env });
  await expect(refused).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^--quick went to npm/) as string,
  });
});
