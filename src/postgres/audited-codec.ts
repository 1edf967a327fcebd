import type { TemporalCodecConfig } from '../config.ts';
import { createTemporalCodec, type PayloadRefusal, type TemporalCodec } from '../crypto/temporal-codec.ts';
import { tellOfRefusal, type RefusedPayloads } from './codec-events.ts';
import type { Tenants } from './tenants.ts';

/** A codec whose refusals reach the log and the audit trail. */
export interface AuditedCodec {
  readonly codec: TemporalCodec;
  /** Writes what is left. Call it when nothing is decoded any more, before the database's pool is closed. */
  stop(): Promise<void>;
}

/** What {@link auditedCodec} stands on. */
export interface AuditedCodecParts {
  readonly namespace: string;
  readonly tenants: Tenants;
  /** For the security log, at once: the first of those that are counted together. */
  readonly onRefused: (refused: Pick<RefusedPayloads, 'reason' | 'workflowId'>) => void;
  /** The audit trail could not be written; it is tried again. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds in which refusals are counted together; default 2,000. */
  readonly collectMs?: number;
}

/** Runs that are told of one by one in a round; refusals of others are counted as those of an unknown run. */
const MAX_RUNS = 20;

/**
 * Logs what the codec refuses, counts it, and writes it down a little later: a flood of bad messages makes a few lines and
 * rows, and nobody who decodes waits for the database.
 */
export function auditedCodec(config: TemporalCodecConfig, parts: AuditedCodecParts): AuditedCodec {
  const { tenants, namespace, onRefused, onError, collectMs = 2_000 } = parts;
  const waiting = new Map<string, RefusedPayloads>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let writing = Promise.resolve();

  /** Whether it is the first of its kind that waits. */
  const count = ({ reason, workflowId, payloads }: RefusedPayloads): boolean => {
    const key = `${reason} ${workflowId}`;
    const before = waiting.get(key);
    if (before === undefined && workflowId !== null && waiting.size >= MAX_RUNS) {
      return count({ reason, workflowId: null, payloads });
    }
    waiting.set(key, { reason, workflowId, payloads: payloads + (before?.payloads ?? 0) });
    return before === undefined;
  };
  const write = async () => {
    timer = undefined;
    const round = [...waiting.values()];
    waiting.clear();
    if (round.length === 0) return;
    try {
      await tenants.acrossTenants('codec', async (tx) => {
        for (const refused of round) tellOfRefusal(tx, refused);
      });
    } catch (error) {
      for (const refused of round) count(refused);
      later(5 * collectMs);
      onError(error);
    }
  };
  const writeNow = () => (writing = writing.then(write));
  const later = (ms: number) => {
    if (!stopped) timer ??= setTimeout(() => void writeNow(), ms).unref();
  };
  const note = (refusal: PayloadRefusal) => {
    const { reason } = refusal;
    const workflowId = isId(refusal.workflowId) ? refusal.workflowId : null;
    if (count({ reason, workflowId, payloads: 1 })) onRefused({ reason, workflowId });
    later(collectMs);
  };

  return {
    codec: createTemporalCodec({ ...config, namespace, onRefused: note }),
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      return writeNow();
    },
  };
}

/** Workflow ids of ours; whoever starts a run by hand names it as they like. */
function isId(workflowId: string | undefined): workflowId is string {
  return (
    workflowId !== undefined && /^(?:(?:import|media|webhook):)?[0-9a-f-]{36}(?::[0-9a-f-]{36})?$/.test(workflowId)
  );
}
