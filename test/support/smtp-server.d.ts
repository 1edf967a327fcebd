/** The part of the package that tests use; it brings no types. */
declare module 'smtp-server' {
  import type { Readable } from 'node:stream';
  import type { Server } from 'node:net';

  interface Session {
    readonly envelope: { readonly rcptTo: readonly { readonly address: string }[] };
  }
  type Done = (error?: Error | null) => void;

  export class SMTPServer {
    readonly server: Server;
    constructor(options: {
      readonly authOptional?: boolean;
      readonly disabledCommands?: readonly string[];
      readonly onAuth?: (
        auth: { readonly username: string; readonly password: string },
        session: Session,
        done: (error: Error | null, answer?: { readonly user: string }) => void,
      ) => void;
      readonly onRcptTo?: (address: { readonly address: string }, session: Session, done: Done) => void;
      readonly onData?: (stream: Readable, session: Session, done: Done) => void;
    });
    listen(port: number, host: string, listening: () => void): Server;
    close(closed: () => void): void;
  }
}
