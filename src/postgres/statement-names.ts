import type { Operation } from './isolation/roles.ts';

/**
 * Operations whose statements are few, run all the time and find their rows by keys: planning them takes about as long as
 * running them, so each connection plans them once. Not so what tenants ask for: lists are filtered by whatever they name.
 */
const PREPARED: ReadonlySet<Operation> = new Set([
  'mint',
  'redeem',
  'onboarding',
  'relay',
  'delivery',
  'carry_out',
] satisfies Operation[]);

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
