import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { historyFromJSON, historyToJSON, type History } from '@temporalio/common/lib/proto-utils.js';

/** Where the saved histories lie, one file a path: `<workflow>-<path>-<date>.json`. */
export const HISTORIES = join(import.meta.dirname, '..', 'replay', 'histories');

/** Names the folder that histories are saved to; nothing is saved without it. */
export const KEEP_HISTORIES = 'HANDOFF_KEEP_HISTORIES';

/** A history as a file has it. */
export interface SavedHistory {
  readonly file: string;
  /** `<workflow>-<path>`. */
  readonly name: string;
  readonly workflowId: string;
  readonly history: History;
}

/** Saves a history of a real run under today's date, when the tests run for that. */
export async function keepHistory(name: string, history: History): Promise<void> {
  const folder = process.env[KEEP_HISTORIES];
  if (folder === undefined || folder === '') return;
  const today = new Date().toISOString().slice(0, 10);
  const json: unknown = JSON.parse(historyToJSON(history));
  await writeFile(join(folder, `${name}-${today}.json`), `${JSON.stringify(json, withoutTraces)}\n`);
}

/** Stack traces name files of the machine that made the run, and no replay reads them. */
function withoutTraces(key: string, value: unknown): unknown {
  return key === 'stackTrace' ? undefined : value;
}

/** `<workflow>-<path>` of a file. */
export function historyName(file: string): string {
  return file.replace(/-\d{4}-\d{2}-\d{2}\.json$/, '');
}

/** Every saved history. */
export async function savedHistories(): Promise<SavedHistory[]> {
  const files = (await readdir(HISTORIES)).filter((file) => file.endsWith('.json')).sort();
  return Promise.all(
    files.map(async (file) => {
      const history = historyFromJSON(JSON.parse(await readFile(join(HISTORIES, file), 'utf8')));
      const started = history.events?.[0]?.workflowExecutionStartedEventAttributes;
      return {
        file,
        name: historyName(file),
        workflowId: started?.workflowId ?? tokenIdOf(started?.input?.payloads?.[0]?.data) ?? file,
        history,
      };
    }),
  );
}

/** The time-skipping server keeps no workflow id in its histories; a `PartnerOnboarding`'s is in its input. */
function tokenIdOf(input: Uint8Array | null | undefined): string | undefined {
  if (input == null) return undefined;
  const { tokenId } = JSON.parse(Buffer.from(input).toString('utf8')) as { tokenId?: string };
  return tokenId;
}
