import { ARRAY_NAMES } from './decision-arrays.ts';
import { isCalendarDate } from './decision-dates.ts';
import type { DecisionProblem } from './decision-intake.ts';
import { isJsonObject, type JsonObject } from './json.ts';

interface CellRule {
  readonly fits: (cell: string) => boolean;
  /** What is wrong and how to mend it. */
  readonly problem: string;
}

const DATE: CellRule = {
  fits: isCalendarDate,
  problem: 'It is no day of the calendar: write it like 1990-01-31, or leave it empty.',
};
const COUNTRY: CellRule = {
  fits: (cell) => /^[A-Z]{3}$/.test(cell),
  problem: 'It is no country code: write three capital letters (ISO 3166-1 alpha-3), like PRT, or leave it empty.',
};

/** What a cell has to look like to be taken for a verified fact; of other columns any text does. */
const RULES: ReadonlyMap<string, CellRule> = new Map<string, CellRule>([
  ['date_of_birth', DATE],
  ['date_of_issue', DATE],
  ['expiration_date', DATE],
  ['incorporation_date', DATE],
  ['nationality', COUNTRY],
  ['issuing_state', COUNTRY],
  [
    'country_code',
    {
      fits: (cell) => /^[A-Z]{2}(-[A-Z0-9]{1,7})?$/.test(cell),
      problem: "It is no country code: write two capital letters, like GB, and a region's after a hyphen, like US-DE.",
    },
  ],
  [
    'email',
    {
      fits: (cell) => /^[^\s@]+@[^\s@]+$/.test(cell),
      problem: 'It is no e-mail address: write one, or leave it empty.',
    },
  ],
  [
    'phone_number',
    {
      fits: (cell) => /^\+[1-9]\d{6,14}$/.test(cell),
      problem: 'It is no telephone number: write it like +351210000001, without spaces, or leave it empty.',
    },
  ],
]);

/** The states of a check (contract/didit-api.md 2.9). */
const CHECK_STATUSES: readonly unknown[] = [
  'Not Finished',
  'Approved',
  'Declined',
  'In Review',
  'Expired',
  'Resub Requested',
];

/** What is wrong with cells that are filled in, by column. */
export function cellProblems(cells: Readonly<Record<string, string>>): DecisionProblem[] {
  return Object.entries(cells).flatMap(([field, cell]) => {
    const rule = RULES.get(field);
    return rule === undefined || rule.fits(cell) ? [] : [{ field, message: rule.problem }];
  });
}

/** Checks of a `decision_json` whose status is none. */
export function checkStatusProblems(decision: JsonObject): DecisionProblem[] {
  return ARRAY_NAMES.flatMap((name) => {
    const items = decision[name];
    if (!Array.isArray(items)) return [];
    return items.flatMap((item, position) => {
      const status = isJsonObject(item) ? (item['status'] ?? null) : null;
      if (status === null || CHECK_STATUSES.includes(status)) return [];
      const message = `Unknown status: give one of ${CHECK_STATUSES.join(', ')}.`;
      return [{ field: `decision_json: ${name}.${position}.status`, message }];
    });
  });
}
