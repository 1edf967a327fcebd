import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { restorablePostgres } from '../../chaos/faults/restorable.ts';
import { withLab } from '../../torture/lab.ts';

const unused = () => Promise.reject(new Error('the lab asks for no server'));

test(
  'a Postgres that is put back knows what was committed before it was kept, and nothing since',
  { timeout: 240_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'handoff-restorable-'));
    chmodSync(folder, 0o711);
    const servers = { postgres: unused, temporalAddress: unused, timeSkippingServer: unused, bundlePath: unused };
    const options = { quick: true, measured: false, servers, folder, say: () => undefined };
    try {
      await withLab(options, async (lab) => {
        const postgres = await restorablePostgres(lab);
        const query = async (text: string) => {
          const client = new Client({ connectionString: postgres.address });
          await client.connect();
          try {
            return (await client.query<{ said: string }>(text)).rows.map(({ said }) => said);
          } finally {
            await client.end();
          }
        };
        await expect(postgres.putBack()).rejects.toThrow('was never made');
        await query('create table saying (said text)');
        await query(`insert into saying values ('before')`);
        await postgres.keep();
        await query(`insert into saying values ('since')`);
        expect(await query('select said from saying')).toEqual(['before', 'since']);
        await postgres.putBack();
        expect(await query('select said from saying')).toEqual(['before']);
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
