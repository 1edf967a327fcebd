import type { Operation } from './isolation/roles.ts';

/** Operations whose statements find their rows by keys, so that one plan is as good for all values. */
const BY_KEYS: ReadonlySet<Operation> = new Set([
  'authenticate',
  'mint',
  'redeem',
  'onboarding',
  'carry_out',
] satisfies Operation[]);

/**
 * Operations whose statements are few and run all the time: planning them takes about as long as running them, so each
 * connection plans them once. Not so what tenants ask for: lists are filtered by whatever they name.
 */
const PREPARED: ReadonlySet<Operation> = new Set([...BY_KEYS, 'relay', 'delivery'] satisfies Operation[]);

/**
 * Postgres' settings for the statements of an operation. What finds its rows by keys keeps to indexes: a plan that was made
 * while a table was empty would go on reading all of it until the next ANALYZE. And it keeps its plan, also where one for
 * the values at hand looks cheaper: that would be made each time.
 */
export function planningOf(operation: Operation): Readonly<Record<string, string>> {
  return BY_KEYS.has(operation) ? { enable_seqscan: 'off', plan_cache_mode: 'force_generic_plan' } : {};
}

/** For what is planned for its values, whatever the operation's settings are. */
export const PLAN_ANEW = 'set local enable_seqscan = on; set local plan_cache_mode = force_custom_plan';

/** Texts that get a name; what is put together anew each time must not fill the connections' memory. */
const MOST = 500;

/**
 * Names statements by their text, for connections to know them again: `undefined` for one that is to be planned each time.
 * Each operation has names of its own, since the rows that its role may see are part of a plan.
 */
export function createStatementNames(): (operation: Operation, text: string) => string | undefined {
  const names = new Map<string, string>();
  return (operation, text) => {
    if (!PREPARED.has(operation)) return undefined;
    const key = `${operation} ${text}`;
    const known = names.get(key);
    if (known !== undefined || names.size === MOST) return known;
    const name = `handoff_${names.size + 1}`;
    names.set(key, name);
    return name;
  };
}
