/** What no key of the ring opens; it stays as it is. */
export interface UnreadableRow {
  readonly table: string;
  readonly column: string;
  /** Its primary key, or what people know it by. */
  readonly id: string;
}

/** How many rows no key opens. After the loss of a ring that is all of them, so only the first are named. */
export interface Unreadable {
  readonly rows: number;
  readonly first: readonly UnreadableRow[];
}

/** How many are named. */
export const MOST_NAMED = 20;

export const NONE_UNREADABLE: Unreadable = { rows: 0, first: [] };

/** Both together. */
export function alsoUnreadable(some: Unreadable, more: Unreadable): Unreadable {
  return { rows: some.rows + more.rows, first: [...some.first, ...more.first].slice(0, MOST_NAMED) };
}
