import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { withLab } from '../../torture/lab.ts';
import type { Part } from '../../torture/part.ts';
import { ownServers, type Servers } from '../../torture/servers.ts';
import type { Fault, Rig } from '../rig.ts';

/** One Postgres and one Temporal for all labs of a rig, by its folder; started for the first that asks. */
const serversOf = new Map<string, Servers>();

/**
 * A fault that is tried in labs of its own, one for each part, when the rig's load has stopped.
 *
 * Quick ones may have neighbours, so that only long ones count how long things take.
 */
export function inLab({ id, what }: Pick<Fault, 'id' | 'what'>, ...parts: readonly Part[]): Fault {
  return {
    id,
    what,
    alone: true,
    run: async (rig) => {
      const { quick, say } = rig;
      const rows = [];
      for (const part of parts) {
        const folder = join(rig.folder, 'labs', `${id}-${part.name}`);
        const options = { quick, measured: !quick, servers: labServers(rig), folder, say };
        for (const row of await withLab(options, (lab) => part.run(lab))) {
          rows.push(parts.length === 1 ? row : { ...row, what: `${part.name}: ${row.what}` });
        }
      }
      return rows;
    },
  };
}

function labServers(rig: Rig): Servers {
  const known = serversOf.get(rig.folder);
  if (known !== undefined) return known;
  const folder = join(rig.folder, 'lab-servers');
  mkdirSync(folder, { recursive: true });
  const servers = ownServers(folder, rig.say, true);
  serversOf.set(rig.folder, servers);
  rig.onEnd(() => servers.stop());
  return servers;
}
