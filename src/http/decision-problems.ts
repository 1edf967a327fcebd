import type { DecisionProblem } from '../domain/decision-intake.ts';
import type { FieldErrors } from '../domain/failures.ts';

const MAX_PROBLEMS = 20;
const MAX_NAME_CHARACTERS = 100;

/** What is wrong with a decision, by field, as far as an answer tells it. */
export function sentencesOf(problems: readonly DecisionProblem[]): FieldErrors {
  const fields = new Map<string, string[]>();
  for (const { field, message } of problems.slice(0, MAX_PROBLEMS)) {
    const name = field.slice(0, MAX_NAME_CHARACTERS);
    fields.set(name, [...(fields.get(name) ?? []), message]);
  }
  return Object.fromEntries(fields);
}
