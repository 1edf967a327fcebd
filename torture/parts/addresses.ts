import type { RequestListener } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { createGuardedConnector, type ResolvedAddress } from '../../src/webhooks/address-guard.ts';
import { LOOPBACK_SPELLINGS, PRIVATE_ADDRESSES } from '../../test/support/address-spellings.ts';
import { receive, type Loopback } from '../../test/support/loopback.ts';
import { startServerProcess } from '../../test/support/worker-process.ts';
import { openField, type Field } from '../field.ts';
import type { Lab } from '../lab.ts';
import { firstAttempts } from '../outcomes.ts';
import { same, type Part, type Row } from '../part.ts';
import { startSenderHere } from '../senders.ts';

/** Stands for the public internet: the only network that the senders here may go to. */
const HONEST = '127.0.0.2';
const ALLOWED = `${HONEST}/32`;

type Trap = Pick<Loopback, 'port' | 'connections'>;

/** What the resolver of this part says of a name, each time that it is asked. */
type Resolver = Map<string, () => readonly string[]>;

/** Addresses that a webhook must not reach, however they are written and whatever a resolver says. */
export const addresses: Part = {
  name: 'addresses',
  shows: 'private addresses in every spelling, by DNS and by rebinding: none is connected to',
  run: async (lab) => {
    const field = await openField(lab, { WEBHOOK_ALLOWED_CIDRS: ALLOWED });
    const trap = await setTrap(lab);
    const honest = await receive((_request, response) => response.end(), HONEST, trap.port);
    lab.onEnd(() => honest.close());
    const resolver: Resolver = new Map();
    const lookup = async (hostname: string): Promise<readonly ResolvedAddress[]> => {
      // Node would resolve it without asking anybody.
      const addresses = hostname === 'localhost' ? ['127.0.0.1'] : (resolver.get(hostname)?.() ?? []);
      return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    };
    await startSenderHere(lab, field, { allowedCidrs: [ALLOWED], lookup });
    const rows = [
      await dialled(trap),
      ...(await registered(lab, field, trap, resolver)),
      ...(await attempted(lab, field, trap, honest, resolver)),
    ];
    return [...rows, same('connections that reached the trap, by any of these', trap.connections(), 0)];
  },
};

/** Counts on the loopback addresses of both families. */
async function setTrap(lab: Lab): Promise<Trap> {
  const trapped: RequestListener = (_request, response) => response.end('trapped');
  const four = await receive(trapped);
  lab.onEnd(() => four.close());
  // A machine may have no IPv6.
  const six = await receive(trapped, '::1', four.port).catch(() => null);
  if (six !== null) lab.onEnd(() => six.close());
  return { port: four.port, connections: () => four.connections() + (six?.connections() ?? 0) };
}

/** The connector alone: nothing has looked at the URL before it. */
async function dialled(trap: Trap): Promise<Row> {
  const agent = new Agent({ connect: createGuardedConnector({ allowedCidrs: [ALLOWED], connectTimeoutMs: 2_000 }) });
  const outcomes = await Promise.all(
    LOOPBACK_SPELLINGS.map((host) =>
      request(`http://${host}:${trap.port}/`, { dispatcher: agent }).then(
        ({ statusCode }) => `reached (${statusCode})`,
        (error: unknown) => String((error as { code?: unknown }).code),
      ),
    ),
  );
  await agent.destroy();
  return summary(`${LOOPBACK_SPELLINGS.length} spellings of loopback, dialled`, outcomes, 'EGRESS_BLOCKED');
}

/** The API of a server of production, and of one that opens a network to webhooks. */
async function registered(lab: Lab, field: Field, trap: Trap, resolver: Resolver): Promise<Row[]> {
  const start = async (settings: Readonly<Record<string, string>>) => {
    const server = await startServerProcess({ ...field.env, ...settings });
    lab.onEnd(() => server.stop());
    return server;
  };
  const [production, development] = await Promise.all([
    start({ NODE_ENV: 'production', WEBHOOK_ALLOWED_CIDRS: '' }),
    start({}),
  ]);
  const { applicationId, apiKey } = await field.application();
  const register = async (server: { readonly url: string }, url: string): Promise<string> => {
    const response = await fetch(new URL('/v3/webhook/destinations/', server.url), {
      method: 'POST',
      headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
      body: JSON.stringify({ url, subscribed_events: ['status.updated'] }),
    });
    return String(response.status);
  };
  const literals = LOOPBACK_SPELLINGS.filter((host) => host !== 'localhost');
  const all = (server: { readonly url: string }, urlOf: (host: string) => string) =>
    Promise.all(literals.map((host) => register(server, urlOf(host))));
  const rows = [
    summary('registered in production: literal addresses', await all(production, (host) => `https://${host}/`), '400'),
    summary('the same, by http', await all(production, (host) => `http://${host}:${trap.port}/`), '400'),
    summary(
      'registered where a network is open',
      await all(development, (host) => `http://${host}:${trap.port}/`),
      '400',
    ),
  ];

  resolver.set('inside.test', () => ['127.0.0.1']);
  const names = ['localhost', 'inside.test'].map((host) => `http://${host}:${trap.port}/`);
  rows.push(
    summary(
      'registered: names that lead to loopback',
      await Promise.all(names.map((url) => register(development, url))),
      '201',
    ),
  );
  await field.tell(applicationId);
  rows.push(summary('what they are soon after', await untilDisabled(field, applicationId), 'blocked'));
  return rows;
}

/** Why the destinations of an application are off, once they all are. */
async function untilDisabled(field: Field, applicationId: string): Promise<string[]> {
  for (const until = Date.now() + 20_000; ;) {
    const { rows } = await field.pool.query<{ enabled: boolean; reason: string | null }>(
      'select enabled, disabled_reason as reason from webhook_destination where application_id = $1',
      [applicationId],
    );
    if (rows.every(({ enabled }) => !enabled) || Date.now() > until) {
      return rows.map(({ enabled, reason }) => (enabled ? 'enabled' : String(reason)));
    }
    await pause(100);
  }
}

/** Deliveries to destinations that no registration would have let in, and to names that lie. */
async function attempted(lab: Lab, field: Field, trap: Trap, honest: Loopback, resolver: Resolver): Promise<Row[]> {
  const dials = lab.quick ? 20 : 50;
  const name = (label: string, answers: () => readonly string[]) => {
    resolver.set(`${label}.test`, answers);
    return `http://${label}.test:${trap.port}/`;
  };
  let asked = 0;
  const rebinding = () => [asked++ % 2 === 0 ? HONEST : '127.0.0.1'];
  const groups = {
    spellings: LOOPBACK_SPELLINGS.map((host) => `http://${host}:${trap.port}/`),
    private: PRIVATE_ADDRESSES.map((address, index) => name(`private-${index}`, () => [address])),
    mixed: [
      name('mixed-1', () => [HONEST, '127.0.0.1']),
      name('mixed-2', () => ['127.0.0.1', HONEST]),
      name('mixed-3', () => [HONEST, '::1']),
    ],
    rebinding: Array.from({ length: dials }, (_, index) => name(`rebinding-${index}`, rebinding)),
    honest: [name('honest', () => [HONEST])],
  };
  lab.say(`${Object.values(groups).flat().length} destinations to be attempted`);
  const seen: Record<string, string[]> = {};
  for (const [group, urls] of Object.entries(groups)) {
    const targets = await Promise.all(urls.map((url) => field.target(url)));
    await Promise.all(targets.map(({ applicationId }) => field.tell(applicationId)));
    const ids = targets.map(({ destinationId }) => destinationId);
    const outcomes = await firstAttempts(field.pool, ids, 60_000);
    seen[group] = ids.map((id) => outcomes.get(id)?.[0]?.state ?? 'nothing');
  }
  const { spellings = [], private: inside = [], mixed = [], rebinding: rebound = [] } = seen;
  const count = (state: string) => rebound.filter((each) => each === state).length;
  return [
    summary('deliveries to spellings of loopback', spellings, 'blocked'),
    summary('deliveries to names that lead to private addresses', inside, 'blocked'),
    summary('deliveries to names with one such address among others', mixed, 'blocked'),
    same(`${dials} deliveries to names that change their address: blocked`, count('blocked'), dials / 2),
    same('… and delivered to the address that was checked', count('delivered'), dials / 2),
    same('a name with a good address is delivered to', seen['honest']?.[0] ?? '', 'delivered'),
    same('connections that reached the good address', honest.connections(), dials / 2 + 1),
  ];
}

/** One row for many tries that must all end alike. */
function summary(what: string, outcomes: readonly string[], expected: string): Row {
  const counts = Map.groupBy(outcomes, (outcome) => outcome);
  const seen = [...counts].map(([outcome, all]) => `${all.length} ${outcome}`).join(', ');
  return same(what, seen, `${outcomes.length} ${expected}`);
}
