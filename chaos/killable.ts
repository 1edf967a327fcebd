/** A server of the rig, as a process that can be killed and started again on its data. */
export interface Killable {
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

interface Running {
  readonly pid: number;
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
}

/**
 * Starts it; `kill` is by SIGKILL, and does nothing to one that is dead.
 *
 * @param endAtOnce kills by process id, where more than the one process has to die
 */
export async function startKillable<Server extends Running>(
  start: () => Promise<Server>,
  endAtOnce: (pid: number) => Promise<void> | void = (pid) => void process.kill(pid, 'SIGKILL'),
): Promise<{ readonly first: Server; readonly killable: Killable }> {
  const first = await start();
  let server: Server | null = first;
  return {
    first,
    killable: {
      kill: async () => {
        if (server === null) return;
        await endAtOnce(server.pid);
        await server.ended;
        await server.stop();
        server = null;
      },
      start: async () => {
        server ??= await start();
      },
      stop: async () => {
        await server?.stop();
        server = null;
      },
    },
  };
}
