import type { Invariant } from '../invariant.ts';
import type { Heard } from '../ledger.ts';
import { finding, grouped } from '../oracle-reading.ts';
import { bodyOf, eventIdOf } from '../webhook-text.ts';

/** I6. */
export const duplicates: Invariant = {
  id: 'I6',
  says: 'what arrives again has the same webhook-id, and says the same',
  check: ({ ledger }) => {
    const byEvent = grouped(ledger.heard, ({ as, rawBody }) => `${as} ${eventIdOf(rawBody)}`);
    const again = [...byEvent].filter(([, heard]) => heard.length > 1);
    const breaks = again.flatMap(([about, heard]) => {
      const ids = new Set(heard.map(({ headers }) => String(headers['webhook-id'])));
      const bodies = new Set(heard.map(contentOf));
      if (ids.size > 1) return [`${about} came under ${ids.size} webhook-ids: ${[...ids].join(', ')}`];
      return bodies.size > 1 ? [`${about} came with ${bodies.size} different bodies`] : [];
    });
    const extra = ledger.heard.length - byEvent.size;
    const rate = ((100 * extra) / Math.max(1, ledger.heard.length)).toFixed(1);
    return Promise.resolve(
      finding(`${again.length} of ${byEvent.size} events came more than once (${rate} % of deliveries)`, breaks),
    );
  },
};

/** The body without the time of its attempt. Its members are sorted already. */
function contentOf({ rawBody }: Heard): string {
  const { timestamp, ...content } = bodyOf(rawBody);
  return JSON.stringify([typeof timestamp, content]);
}
