import { DefaultLogger, type LogLevel } from '@temporalio/worker';
import pino, { type Logger } from 'pino';

export type HandoffLogger = Logger;

/** The process's logger: JSON lines on standard output. What goes in is chosen where it is logged: ids, enums, counts. */
export function createLogger(name: string, level: string): HandoffLogger {
  return pino({ name, level, base: { name } });
}

/** Members of Temporal's log entries that we keep. Everything else, arguments and results above all, stays out. */
const KEPT = [
  'workflowId',
  'runId',
  'workflowType',
  'activityType',
  'attempt',
  'taskQueue',
  'namespace',
  'sdkComponent',
];

/** Temporal's own log lines, through ours. */
export function temporalLogger(logger: HandoffLogger, level: LogLevel = 'WARN'): DefaultLogger {
  return new DefaultLogger(level, ({ level: entryLevel, message, meta }) => {
    const kept = Object.fromEntries(
      KEPT.flatMap((key) => (meta?.[key as never] === undefined ? [] : [[key, meta[key as never]]])),
    );
    const target = entryLevel === 'WARN' ? 'warn' : entryLevel === 'ERROR' ? 'error' : 'info';
    logger[target](kept, message);
  });
}

/** What a log line may say of an error: its kind and code. A database's message can quote the values it was given. */
export function errorKind(error: unknown): { error: string; code?: string } {
  const code = (error as { code?: unknown } | null)?.code;
  return {
    error: error instanceof Error ? error.constructor.name : typeof error,
    ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {}),
  };
}
