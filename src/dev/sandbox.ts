import { readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** `.handoff/sandbox.json`: what people and scripts need to use the sandbox. Holds API keys, so it has mode 600. */
export interface Sandbox {
  readonly api_url: string;
  readonly temporal_address: string;
  readonly temporal_ui_url: string | null;
  readonly database_url: string;
  readonly applications: readonly SandboxApplication[];
  readonly sessions: readonly SandboxSession[];
  readonly onboardings: readonly SandboxOnboarding[];
}

/** A brand of the sandbox. */
export interface SandboxApplication {
  readonly role: 'issuer' | 'partner';
  readonly name: string;
  readonly application_id: string;
  readonly api_key: string;
  /** Ids of the default verification workflows. */
  readonly workflows: { readonly user: string; readonly business: string };
}

/** A session that the issuer holds. */
export interface SandboxSession {
  readonly session_id: string;
  readonly session_kind: string;
  readonly status: string;
  readonly application_id: string;
}

/** A handoff that the demo ran. */
export interface SandboxOnboarding {
  readonly token_id: string;
  readonly session_kind: string;
  readonly status: string;
  readonly imported_session_id: string | null;
  readonly temporal_url: string | null;
}

/** Where a checkout keeps its sandbox. */
export const SANDBOX_FILE = join(process.env['HANDOFF_FOLDER'] ?? '.handoff', 'sandbox.json');

/** Where a development folder keeps its anchors. */
export function anchorsFolder(folder: string): string {
  return join(folder, 'audit-anchors');
}

/** Link to a run in Temporal's Web UI; `null` when no UI is known. */
export function linkToRun(uiUrl: string | null, tokenId: string): string | null {
  const namespace = process.env['TEMPORAL_NAMESPACE'] ?? 'default';
  return uiUrl === null ? null : `${uiUrl}/namespaces/${namespace}/workflows/${tokenId}`;
}

/** The sandbox of an earlier or running `npm start`, or `null`. */
export function readSandbox(file: string = SANDBOX_FILE): Sandbox | null {
  return readJson(file) as Sandbox | null;
}

/** Writes JSON that only this user may read, whole or not at all. */
export async function writePrivateJson(file: string, value: unknown): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Parsed JSON of a file, or `null` when there is no such file. */
export function readJson(file: string): unknown {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${file} is not JSON: begin again with npm start -- --fresh`);
  }
}
