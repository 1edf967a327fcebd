import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const COMMAND = fileURLToPath(new URL('../../chaos/run.ts', import.meta.url));

test('a report that cannot be written is refused before anything starts', async () => {
  const refused = promisify(execFile)(process.execPath, [COMMAND, '--json', '/none/report.json']);
  await expect(refused).rejects.toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^--json names a file in \/none, which is no folder\.\nnpm run chaos[^]*$/) as string,
  });
});
