import { receive } from '../../test/support/loopback.ts';
import { openField } from '../field.ts';
import { startHostileReceiver } from '../hostile-receiver.ts';
import { firstAttempts } from '../outcomes.ts';
import { same, type Part, type Row } from '../part.ts';
import { startSomeSender } from '../senders.ts';

const STATUSES = [300, 301, 302, 303, 305, 307, 308];

/** Redirects to where a sender must not go. Loopback is open to it here: only following stands between it and the trap. */
export const redirects: Part = {
  name: 'redirects',
  shows: 'redirects of every sort to private addresses: none is followed',
  run: async (lab) => {
    const field = await openField(lab);
    const receiver = await startHostileReceiver();
    lab.onEnd(() => receiver.close());
    const trap = await receive((_request, response) => response.end('trapped'));
    lab.onEnd(() => trap.close());
    await startSomeSender(lab, field);

    const places: [what: string, location: string][] = [
      ['loopback', trap.url],
      ['localhost, without a scheme', `//localhost:${trap.port}/hook`],
      ['169.254.169.254', 'http://169.254.169.254/latest/meta-data/'],
    ];
    const cases = places.flatMap(([what, location]) =>
      STATUSES.map((status) => ({ what: `${status} to ${what}`, url: receiver.answer(status, { location }) })),
    );
    const refresh = { what: '200 with refresh', url: receiver.answer(200, { refresh: `0; url=${trap.url}` }) };
    const all = [...cases, refresh, { what: 'the trap itself', url: trap.url }];
    const targets = await Promise.all(all.map(({ url }) => field.target(url)));
    await Promise.all(targets.map(({ applicationId }) => field.tell(applicationId)));
    const ids = targets.map(({ destinationId }) => destinationId);
    const outcomes = await firstAttempts(field.pool, ids, 60_000);
    const rows = all.map(({ what }, index): Row => {
      const outcome = outcomes.get(ids[index] ?? '')?.[0];
      const followable = index < cases.length;
      return same(
        what,
        `${outcome?.state} · ${outcome?.reason}`,
        followable ? 'retrying · redirect' : 'delivered · http_200',
      );
    });
    return [...rows, same('requests that reached the trap, beside the one sent there', trap.connections() - 1, 0)];
  },
};
