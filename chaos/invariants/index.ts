import type { Invariant } from '../invariant.ts';
import { answers } from './answers.ts';
import { auditChain } from './audit-chain.ts';
import { duplicates } from './duplicates.ts';
import { everyEventArrives } from './every-event-arrives.ts';
import { notStuck } from './not-stuck.ts';
import { nothingReadable } from './nothing-readable.ts';
import { oneImport } from './one-import.ts';
import { onlyEventsArrive } from './only-events-arrive.ts';
import { ownDataOnly } from './own-data-only.ts';
import { replayable } from './replayable.ts';
import { sequence } from './sequence.ts';
import { told } from './told.ts';
import { verifiable } from './verifiable.ts';

/** What is checked after every run, in the order of reliability.md. */
export const INVARIANTS: readonly Invariant[] = [
  oneImport,
  told,
  everyEventArrives,
  onlyEventsArrive,
  verifiable,
  duplicates,
  sequence,
  notStuck,
  ownDataOnly,
  nothingReadable,
  replayable,
  auditChain,
  answers,
];
