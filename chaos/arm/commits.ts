import { Connection, Query } from 'pg';
import { roleName } from '../../src/postgres/isolation/statements.ts';
import { runUnderWay, type Armed } from './armed.ts';
import { CHANGES, type Change } from './changes.ts';

/** A connection's transaction. Statements are pipelined: one is answered long after the next was sent. */
interface OpenTransaction {
  /** Statements whose answers are not all there, in their order: whether each is the change's own. */
  readonly sent: boolean[];
  /** Of the change's role. */
  ours: boolean;
  /** The change's statement has found rows. */
  changed: boolean;
  about: string[];
}

/** What pg says of a query, and its type does not. */
interface SentQuery {
  readonly text?: string;
  readonly values?: readonly unknown[];
}

/**
 * `<change>:before-commit`: everything but the commit was sent, and may have come or not. `<change>:after-commit`: its
 * answer has come, and the code has not heard. A statement that found no rows is no change.
 */
export function armCommits(armed: Armed): void {
  const [name = '', moment] = armed.point.split(':');
  const change: Change | undefined = (CHANGES as Readonly<Record<string, Change>>)[name];
  if (change === undefined) throw new Error(`FAIL_AT knows no change "${name}"`);
  const role = `set_config('role', '${roleName(change.operation)}', true)`;
  const transactions = new WeakMap<object, OpenTransaction>();
  const on = (connection: object): OpenTransaction => {
    const known = transactions.get(connection) ?? { sent: [], ours: false, changed: false, about: [] };
    transactions.set(connection, known);
    return known;
  };

  const { submit } = Query.prototype;
  Query.prototype.submit = function (this: Query & SentQuery, connection) {
    const transaction = on(connection);
    const text = (this.text ?? '').replaceAll(/\s+/g, ' ').trim();
    if (text.startsWith('begin;')) {
      Object.assign(transaction, { ours: text.includes(role), changed: false, about: [runUnderWay()] });
    }
    const { ours, changed, sent } = transaction;
    if (text === 'commit' && moment === 'before-commit' && ours && (changed || sent.includes(true))) {
      armed.reached(transaction.about);
    }
    if (ours) transaction.about.push(JSON.stringify(this.values ?? []));
    sent.push(ours && change.statement.test(text));
    return submit.call(this, connection);
  };

  const emit = Reflect.get(Connection.prototype, 'emit') as (event: string | symbol, ...all: unknown[]) => boolean;
  Connection.prototype.emit = function (this: Connection, event: string | symbol, ...all: unknown[]) {
    const transaction = on(this);
    if (event === 'readyForQuery') transaction.sent.shift();
    if (event === 'commandComplete') {
      const { text } = all[0] as { text: string };
      // The last word is the number of rows, e.g. `INSERT 0 1`.
      if (transaction.sent[0] === true && !text.endsWith(' 0')) transaction.changed = true;
      if (text === 'COMMIT' && moment === 'after-commit' && transaction.ours && transaction.changed) {
        armed.reached(transaction.about);
      }
    }
    return emit.call(this, event, ...all);
  };
}
