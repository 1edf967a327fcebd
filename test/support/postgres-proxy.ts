import { connect, createServer, type Socket } from 'node:net';
import { listen } from './loopback.ts';

/** A way to Postgres on which connections are lost at a moment of the test's choice. */
export interface PostgresProxy {
  /** The database's URL by this way. */
  readonly url: string;
  /** Bytes that Postgres has sent so far. */
  sent(): number;
  /** Loses the connection over which Postgres sends this many more bytes, before the last of them arrives; once. */
  cutAfter(bytes: number): void;
  /**
   * At the next commit of a transaction with this text in a statement: the commit is done, and the connection is lost
   * before its answer arrives; once.
   *
   * @param lost called at that moment
   */
  cutAtCommitOf(text: string, lost?: () => void): void;
  close(): Promise<void>;
}

/** The answer to a commit, as the protocol has it: type, length, tag. */
const COMMITTED = Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1');

/** Opens the way on a free port. */
export async function postgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let sent = 0;
  let left = Infinity;
  let marked: { readonly text: string; readonly lost: (() => void) | undefined } | undefined;

  const server = createServer((client) => {
    const database = connect(Number(target.port), target.hostname);
    let named = false;
    let tail = Buffer.alloc(0);
    const lose = () => {
      client.destroy();
      database.destroy();
    };
    for (const socket of [client, database]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', lose);
      socket.on('close', () => {
        sockets.delete(socket);
        lose();
      });
    }
    const statements = statementReader();
    client.on('data', (chunk: Buffer) => {
      for (const text of statements(chunk)) if (marked !== undefined && text.includes(marked.text)) named = true;
      database.write(chunk);
    });
    database.on('data', (chunk) => {
      sent += chunk.length;
      left -= chunk.length;
      if (left <= 0) {
        left = Infinity;
        lose();
        return;
      }
      // A tag may arrive in two pieces.
      const seen = Buffer.concat([tail, chunk]);
      tail = seen.subarray(-COMMITTED.length + 1);
      if (named && marked !== undefined && seen.includes(COMMITTED)) {
        const { lost } = marked;
        marked = undefined;
        lost?.();
        lose();
        return;
      }
      client.write(chunk);
    });
  });
  const { port, close } = await listen(server);
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return {
    url: url.href,
    sent: () => sent,
    cutAfter: (bytes) => (left = bytes),
    cutAtCommitOf: (text, lost) => (marked = { text, lost }),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await close();
    },
  };
}

/**
 * Reads what a client sends (Postgres' protocol, version 3): the text of each statement that it runs, also of those that
 * it prepared before and names only.
 */
function statementReader(): (chunk: Buffer) => string[] {
  const prepared = new Map<string, string>();
  let rest = Buffer.alloc(0);
  // The first message has no type.
  let typeBytes = 0;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const texts: string[] = [];
    for (;;) {
      if (rest.length < typeBytes + 4) return texts;
      const length = typeBytes + rest.readInt32BE(typeBytes);
      if (rest.length < length) return texts;
      const type = typeBytes === 0 ? '' : String.fromCharCode(rest[0] ?? 0);
      const [first = '', second = ''] = rest.toString('latin1', typeBytes + 4, length).split('\0');
      rest = rest.subarray(length);
      typeBytes = 1;
      if (type === 'P') prepared.set(first, second);
      else if (type === 'B') texts.push(prepared.get(second) ?? '');
      else if (type === 'Q') texts.push(first);
    }
  };
}
