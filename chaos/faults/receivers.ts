import { addresses } from '../../torture/parts/addresses.ts';
import { delays } from '../../torture/parts/delays.ts';
import { halfDead } from '../../torture/parts/half-dead.ts';
import { hostileReceivers } from '../../torture/parts/hostile.ts';
import { redirects } from '../../torture/parts/redirects.ts';
import { replies } from '../../torture/parts/replies.ts';
import { inLab } from './in-lab.ts';

/** Receivers that answer anything but 200. */
export const refusingReceivers = inLab(
  { id: 'F8', what: 'receivers that answer 404, 410, 429, 500, 503 and the rest: states, delays, switching off' },
  replies,
  delays,
);

/** Receivers that hang: half of them, while the others go on. */
export const hangingReceivers = inLab(
  { id: 'F9', what: 'half of the receivers hang, refuse or fail: what that costs the others' },
  halfDead,
);

/** Receivers that do their worst. */
export const hostileAnswers = inLab(
  { id: 'F10', what: 'slow, endless, huge, packed, false and badly certified answers, all at once' },
  hostileReceivers,
);

/** Receivers that send the sender elsewhere. */
export const redirectingReceivers = inLab(
  { id: 'F11', what: 'redirects of every sort to private addresses: none is followed' },
  redirects,
);

/** Receivers that are where a sender must not go. */
export const privateAddresses = inLab(
  { id: 'F12', what: 'private addresses in every spelling, by DNS and by rebinding: none is reached' },
  addresses,
);
