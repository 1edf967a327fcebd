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
  /** For the security log: ids, enums and counts. */
  readonly onRefused: (refused: RefusedPayloads) => void;
  /** The audit trail could not be written; it is tried again. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds in which refusals are counted together; default 2,000. */
  readonly collectMs?: number;
}

/** Runs that are told of one by one in a round; refusals of others are counted as those of an unknown run. */
const MAX_RUNS = 20;

/**
 * Counts what the codec refuses, and writes it down a little later: a flood of bad messages makes a few rows, and nobody
 * who decodes waits for the database.
 */
export function auditedCodec(config: TemporalCodecConfig, parts: AuditedCodecParts): AuditedCodec {
  const { tenants, namespace, onRefused, onError, collectMs = 2_000 } = parts;
  const waiting = new Map<string, RefusedPayloads>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let writing = Promise.resolve();

  const count = ({ reason, workflowId, payloads }: RefusedPayloads) => {
    const key = `${reason} ${workflowId}`;
    const before = waiting.get(key);
    if (before === undefined && workflowId !== null && waiting.size >= MAX_RUNS) {
      count({ reason, workflowId: null, payloads });
    } else waiting.set(key, { reason, workflowId, payloads: payloads + (before?.payloads ?? 0) });
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
      for (const refused of round) onRefused(refused);
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
  const note = ({ reason, workflowId }: PayloadRefusal) => {
    count({ reason, workflowId: isId(workflowId) ? workflowId : null, payloads: 1 });
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
