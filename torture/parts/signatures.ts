import { compareSignatures } from '../../test/support/signed-bodies.ts';
import { same, type Part } from '../part.ts';

/** Random bodies, signed by the sender's code and verified by everything else that can. */
export const signatures: Part = {
  name: 'signatures',
  shows: 'random bodies: our signatures against Python, standardwebhooks and handoff/webhooks',
  run: async (lab) => {
    const count = lab.quick ? 1_000 : 20_000;
    lab.say(`${count} random bodies`);
    const found = await compareSignatures(count);
    return [
      same('bodies signed and verified', found.bodies, count),
      same('X-Signature-V2 unlike Python’s or JavaScript’s', found.differences, 0),
      same('rejected by standardwebhooks', found.rejectedByStandardWebhooks, 0),
      same('rejected by handoff/webhooks', found.rejectedByReceiver, 0),
      same('accepted although changed', found.acceptedTampered, 0),
    ];
  },
};
