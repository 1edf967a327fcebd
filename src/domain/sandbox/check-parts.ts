import type { JsonObject } from '../json.ts';
import type { Dice } from './dice.ts';
import type { InventedPerson } from './people.ts';
import type { FeatureStatus } from './scenarios.ts';

/** What one simulated check is made from. */
export interface CheckOrder {
  readonly dice: Dice;
  /** Whose check it is; for a business, who filled in its forms. */
  readonly person: InventedPerson;
  /** What it is to say; never `Not Finished`, which says nothing else. */
  readonly status: FeatureStatus;
  /** When it ran. */
  readonly at: Date;
}

/** A trouble of a check, as its warning names it. */
interface Trouble {
  /** The warnings' own word for the check. */
  readonly feature: string;
  readonly risk: string;
  readonly sentence: string;
}

const TROUBLED: ReadonlySet<FeatureStatus> = new Set(['Declined', 'In Review', 'Resub Requested', 'Expired']);

/** Whether a check did not pass. */
export function isTroubled(status: FeatureStatus): boolean {
  return TROUBLED.has(status);
}

/** The warnings of a check: the trouble, or none when it passed. */
export function warningsOf(status: FeatureStatus, nodeId: string, trouble: Trouble): JsonObject[] {
  if (!isTroubled(status)) return [];
  return [
    {
      feature: trouble.feature,
      risk: trouble.risk,
      additional_data: null,
      log_type: status === 'Declined' ? 'error' : 'warning',
      short_description: trouble.sentence,
      long_description: `${trouble.sentence} This is simulated.`,
      node_id: nodeId,
    },
  ];
}

/** A score from 0 to 100 that fits a status. */
export function scoreOf(status: FeatureStatus, dice: Dice): number {
  if (status === 'Approved') return dice.decimal(88, 99);
  return status === 'Declined' ? dice.decimal(8, 30) : dice.decimal(45, 65);
}

/** The day that lies this many days after a time, `YYYY-MM-DD`. */
export function dayAfter(time: Date, days: number): string {
  return new Date(time.getTime() + days * 86_400_000).toISOString().slice(0, 10);
}
