import { runTorture } from './command.ts';
import { floods } from './parts/floods.ts';
import { slowClients } from './parts/slow-clients.ts';
import { strictBodies } from './parts/strict-bodies.ts';

await runTorture({
  command: 'edges:torture',
  about: `The HTTP server against clients that drip, stall and flood, and a table of what was expected and seen.
  It needs nothing running, a quiet machine and about four minutes.`,
  quick: 'fewer rounds, and idle connections are not waited for: about two minutes',
  parts: [slowClients, floods, strictBodies],
});
