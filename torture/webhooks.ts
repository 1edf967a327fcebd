import { runTorture } from './command.ts';
import { halfDead } from './parts/half-dead.ts';
import { hostileReceivers } from './parts/hostile.ts';
import { addresses } from './parts/addresses.ts';
import { crashes } from './parts/crashes.ts';
import { delays } from './parts/delays.ts';
import { redirects } from './parts/redirects.ts';
import { replies } from './parts/replies.ts';
import { rotation } from './parts/rotation.ts';
import { signatures } from './parts/signatures.ts';

await runTorture({
  command: 'webhooks:torture',
  about: `The sender against hostile receivers and servers of its own, and a table of what was expected and seen.
  It needs nothing running, a quiet machine and about eight minutes.`,
  quick: 'smaller numbers and shorter time limits: about three minutes',
  parts: [replies, delays, hostileReceivers, redirects, addresses, rotation, signatures, crashes, halfDead],
});
