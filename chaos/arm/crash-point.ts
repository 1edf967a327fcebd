// For `node --import`: kills this process by SIGKILL at the crash point that FAIL_AT names, from outside its code.
// See chaos/crash-points.ts for the points.
import { isMainThread } from 'node:worker_threads';

// Worker threads of the SDK inherit the import.
if (isMainThread && (process.env['FAIL_AT'] ?? '') !== '') {
  const { readArmed } = await import('./armed.ts');
  const armed = readArmed(process.env);
  if (armed !== null) {
    const [mechanism] = armed.point.split(':');
    if (mechanism === 'reply') (await import('./replies.ts')).armReplies(armed);
    else if (mechanism === 'start-workflow' || mechanism === 'signal') {
      (await import('./temporal-calls.ts')).armTemporalCalls(armed);
    } else if (mechanism === 'webhook') (await import('./webhooks.ts')).armWebhooks(armed);
    else if (armed.point.endsWith('-commit')) (await import('./commits.ts')).armCommits(armed);
    // The others are activities: the worker's own crash points.
  }
}
