import type { Fault } from '../rig.ts';
import { apiFuzz } from './api-fuzz.ts';
import { backlog } from './backlog.ts';
import { clockSkew } from './clock-skew.ts';
import { crashPoints } from './crash-points.ts';
import { floodedServer } from './flood.ts';
import { forgeries } from './forgeries.ts';
import { importRaces } from './import-races.ts';
import { importStorm } from './import-storm.ts';
import { killedReplies } from './killed-replies.ts';
import { partitions } from './partitions.ts';
import { postgresCrash } from './postgres-crash.ts';
import { randomKills } from './random-kills.ts';
import {
  hangingReceivers,
  hostileAnswers,
  privateAddresses,
  redirectingReceivers,
  refusingReceivers,
} from './receivers.ts';
import { restoredBackups } from './restore.ts';
import { rollingRestart } from './rolling-restart.ts';
import { scarcity } from './scarcity.ts';
import { soak } from './soak.ts';
import { spuriousSignals } from './spurious-signals.ts';
import { temporalOutage } from './temporal-outage.ts';

/** Everything that can be broken, by the numbers of reliability.md. A run shuffles them. */
export const FAULTS: readonly Fault[] = [
  // Our own processes.
  crashPoints,
  randomKills,
  killedReplies,
  rollingRestart,
  // What they stand on.
  postgresCrash,
  scarcity,
  temporalOutage,
  partitions,
  // Nothing at all.
  soak,
  // In labs of their own: receivers.
  refusingReceivers,
  hangingReceivers,
  hostileAnswers,
  redirectingReceivers,
  privateAddresses,
  backlog,
  // Callers.
  spuriousSignals,
  importStorm,
  importRaces,
  floodedServer,
  apiFuzz,
  forgeries,
  // Time, and what was lost.
  clockSkew,
  restoredBackups,
];
