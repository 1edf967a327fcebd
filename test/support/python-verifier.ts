import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** One webhook as its receiver sees it. */
export type ReceivedWebhook = { body: string; secret: string; signature: string };

/** What Didit sends, as Python signs it. */
export type SentByDidit = { raw: string; signature: string; signatureV2: string };

/** Whether each verifies by Didit's recipe in Python, run once for the whole batch. */
export function verifyInPython(webhooks: readonly ReceivedWebhook[]): boolean[] {
  return runPython('verify_v2.py', webhooks) as boolean[];
}

/** Each JSON text as Didit would send and sign it, by Python, run once for the whole batch. */
export function signInPython(webhooks: readonly { body: string; secret: string }[]): SentByDidit[] {
  return runPython('sign_didit.py', webhooks) as SentByDidit[];
}

function runPython(name: string, input: unknown): unknown {
  const script = fileURLToPath(new URL(name, import.meta.url));
  const run = spawnSync('python3', [script], { input: JSON.stringify(input), maxBuffer: 64 * 1024 * 1024 });
  if (run.error !== undefined) {
    throw new Error(
      'python3 did not start: signatures are checked against an independent verifier in Python. ' +
        'Install Python 3 (apt-get install python3, brew install python) and put it on the PATH.',
      { cause: run.error },
    );
  }
  if (run.status !== 0) throw new Error(`${name} failed: ${run.stderr.toString()}`);
  return JSON.parse(run.stdout.toString()) as unknown;
}
