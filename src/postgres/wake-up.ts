import { Client } from 'pg';

/**
 * Calls `onWake` whenever somebody notifies the channel, and once after each (re)connection, since notifications
 * meanwhile are lost. A broken connection is made again after a second; polling stands behind it.
 *
 * @returns stops listening
 */
export function listen(databaseUrl: string, channel: string, onWake: () => void): { stop(): Promise<void> } {
  let stopped = false;
  let client: Client | undefined;
  let timer: NodeJS.Timeout | undefined;

  function connect(): void {
    const next = new Client({ connectionString: databaseUrl, application_name: 'handoff-listen', keepAlive: true });
    client = next;
    let lost = false;
    const again = () => {
      if (lost || stopped) return;
      lost = true;
      next.end().catch(() => {});
      timer = setTimeout(connect, 1_000);
    };
    next.on('error', again);
    next.on('end', again);
    next.on('notification', onWake);
    next
      .connect()
      // Nobody needs a privilege to listen.
      .then(() => next.query('set role handoff_health'))
      .then(() => next.query(`listen ${next.escapeIdentifier(channel)}`))
      .then(onWake)
      .catch(again);
  }

  connect();
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await client?.end().catch(() => {});
    },
  };
}
