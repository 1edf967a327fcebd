import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { testTlsPair } from '../../test/support/tls-pair.ts';
import { AUTHORITY, EXPIRED_PAIR, GOOD_PAIR, OTHER_NAME_PAIR } from '../certificates.ts';
import { openCorrespondence } from '../correspondence.ts';
import { openField, type Field } from '../field.ts';
import * as hostile from '../hostile-receiver.ts';
import type { Lab } from '../lab.ts';
import { firstAttempts } from '../outcomes.ts';
import { same, within, type Part, type Row } from '../part.ts';
import { startSomeSender } from '../senders.ts';

/** How each receiver misbehaves, and what its attempts come to. */
type Case = readonly [what: string, url: string, comesTo: string];

/** Over a limit, for a timer that comes late on a machine that is busy. */
const SLACK_MS = 1_500;
/** What attempts may add to the sender's memory, in MiB: code that is compiled only now, and garbage not yet collected. */
const MEMORY_MIB = 96;
/** A delivery to a receiver that behaves, in milliseconds, while all others misbehave. */
const BYSTANDER_MS = 5_000;

/** Receivers that do their worst, all at once: each attempt ends, memory is bounded, and others get theirs meanwhile. */
export const hostileReceivers: Part = {
  name: 'hostile',
  shows: 'slow, endless, huge and false answers, all at once: attempts end, memory is bounded, others get theirs',
  run: async (lab) => {
    const receiver = await hostile.startHostileReceiver();
    lab.onEnd(() => receiver.close());
    const authority = join(lab.folder, 'authority.pem');
    writeFileSync(authority, AUTHORITY);
    const field = await openField(lab, { NODE_EXTRA_CA_CERTS: authority });
    const sender = await startSomeSender(lab, field, AUTHORITY);
    const cases = await misbehaviours(receiver);
    const bystander = await openBystander(lab, field);
    await bystander.warmUp();

    const targets = await Promise.all(cases.map(([, url]) => field.target(url)));
    // Fewer than the failures after which nothing more is sent.
    const copies = lab.quick ? 1 : 5;
    lab.say(`${cases.length} receivers that misbehave, ${copies} at a time`);
    const before = sender.memory();
    let most = before;
    const watch = setInterval(() => (most = Math.max(most, sender.memory())), 100);
    const stopBystander = bystander.begin();
    for (let copy = 0; copy < copies; copy += 1) {
      await Promise.all(targets.map(({ applicationId }) => field.tell(applicationId)));
    }
    const ids = targets.map(({ destinationId }) => destinationId);
    const outcomes = await firstAttempts(field.pool, ids, 120_000, copies).finally(() => clearInterval(watch));
    const arrivals = await stopBystander();

    const limitMs = lab.measured ? sender.attemptMs + SLACK_MS : Infinity;
    const rows = cases.map(([what, , comesTo], index): Row => {
      const found = outcomes.get(ids[index] ?? '') ?? [];
      const all = new Set(found.map(({ state, reason, truncated }) => toldAs(state, reason, truncated)));
      const slowest = Math.max(...found.map(({ durationMs }) => durationMs));
      return {
        what,
        expected: `${comesTo} · ≤ ${sender.attemptMs / 1000} s`,
        seen: `${[...all].join(' | ')} · ${(slowest / 1000).toFixed(1)} s`,
        ok: all.size === 1 && all.has(comesTo) && slowest <= limitMs,
      };
    });
    const kept = Math.max(...[...outcomes.values()].flat().map(({ keptBytes }) => keptBytes));
    return [
      ...rows,
      within('most that is kept of a reply', kept, [0, 3 * 4_096 + 128], ' bytes'),
      same('deliveries that others missed meanwhile', arrivals.missing, 0),
      ...(lab.measured
        ? [
            within(`slowest of ${arrivals.count} to others`, arrivals.slowestMs, [0, BYSTANDER_MS], ' ms'),
            within('growth of the sender’s memory', Math.max(0, most - before), [0, MEMORY_MIB], ' MiB'),
          ]
        : []),
    ];
  },
};

function toldAs(state: string, reason: string, truncated: boolean | null): string {
  return [state, reason, truncated === true && 'body cut'].filter(Boolean).join(' · ');
}

async function misbehaviours(receiver: hostile.HostileReceiver): Promise<readonly Case[]> {
  const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
  const DELIVERED = 'delivered · http_200';
  const CUT = 'delivered · http_200 · body cut';
  const retrying = (reason: string) => `retrying · ${reason}`;
  return [
    ['slow-loris: headers drip', await receiver.raw(hostile.drippingHeaders), retrying('timeout')],
    ['slow-loris: the status line drips', await receiver.raw(hostile.drippingStatus), retrying('timeout')],
    ['the request is never read', await receiver.raw(hostile.silence), retrying('timeout')],
    ['a body that never ends', await receiver.raw(hostile.endlessBody), CUT],
    ['a body of 2 GB', await receiver.raw(hostile.bigBody(2 * 1024 ** 3)), CUT],
    ['a body that drips after 200', await receiver.raw(hostile.drippingBody(200)), CUT],
    [
      'a body that drips after 500',
      await receiver.raw(hostile.drippingBody(500)),
      `${retrying('http_500')} · body cut`,
    ],
    ['50 MB packed by gzip', await receiver.raw(hostile.gzipBomb(50_000_000)), CUT],
    ['a chunk’s extension that never ends', await receiver.raw(hostile.endlessChunkExtension), CUT],
    ['trailers that never end', await receiver.raw(hostile.endlessTrailers), CUT],
    ['100 headers of 64 KiB', await receiver.raw(hostile.bigHeaders(100, 65_536)), retrying('response_too_large')],
    ['10,000 headers of 16 bytes', await receiver.raw(hostile.bigHeaders(10_000, 16)), retrying('response_too_large')],
    ['103 in a storm', await receiver.raw(hostile.informationalStorm), retrying('response_too_large')],
    ['102 ten times a second', await receiver.raw(hostile.informationalDrip), retrying('timeout')],
    [
      '101, another protocol',
      await receiver.raw(hostile.sayAndHalfClose('HTTP/1.1 101 Switching\r\n\r\n')),
      retrying('failed'),
    ],
    ['a reset before the headers', await receiver.raw(hostile.sayAndReset('')), retrying('reset')],
    [
      'a reset among the headers',
      await receiver.raw(hostile.sayAndReset('HTTP/1.1 200 OK\r\nx-a: b\r\n')),
      retrying('reset'),
    ],
    [
      'a reset after the headers',
      await receiver.raw(hostile.sayAndReset('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n')),
      CUT,
    ],
    ['half closed, without a reply', await receiver.raw(hostile.sayAndHalfClose('')), retrying('reset')],
    ['half closed, after a reply', await receiver.raw(hostile.sayAndHalfClose(ok)), DELIVERED],
    ['a second reply that nobody asked for', await receiver.raw(hostile.secondReply), DELIVERED],
    [
      'two lengths',
      await receiver.raw(hostile.sayAndHalfClose(ok.replace('\r\n\r\n', '\r\ncontent-length: 3\r\n\r\n'))),
      retrying('failed'),
    ],
    ['garbage', await receiver.raw(hostile.garbage), retrying('failed')],
    ['HTTP/2 only, in the clear', await receiver.raw(hostile.http2Frame), retrying('failed')],
    ['HTTP/2 only', await receiver.http2Only(GOOD_PAIR), retrying('tls')],
    ['TLS as it should be', await receiver.tls(GOOD_PAIR), DELIVERED],
    ['TLS with an expired certificate', await receiver.tls(EXPIRED_PAIR), retrying('tls')],
    ['TLS with a self-signed certificate', await receiver.tls(testTlsPair), retrying('tls')],
    ['TLS with another host’s certificate', await receiver.tls(OTHER_NAME_PAIR), retrying('tls')],
    ['TLS 1.0 and 1.1 only', await receiver.tls(GOOD_PAIR, OLD_TLS), retrying('tls')],
    [
      'plain text where TLS is spoken to',
      (await receiver.raw(hostile.garbage)).replace('http://', 'https://'),
      retrying('tls'),
    ],
  ];
}

const OLD_TLS = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;

interface Bystander {
  /** Lets the sender compile what it needs. */
  warmUp(): Promise<void>;
  /** Tells it an event every tenth of a second; stopping waits for the last ones. */
  begin(): () => Promise<{ readonly count: number; readonly missing: number; readonly slowestMs: number }>;
}

/** A destination that behaves. */
async function openBystander(lab: Lab, field: Field): Promise<Bystander> {
  const others = await openCorrespondence(lab, field);
  const { applicationId } = await field.target(others.url);
  return {
    warmUp: async () => {
      for (let count = 0; count < 50; count += 1) await others.tell(applicationId);
      await others.settle(30_000);
    },
    begin: () => {
      others.forget();
      const telling: Promise<void>[] = [];
      const timer = setInterval(() => telling.push(others.tell(applicationId)), 100);
      return async () => {
        clearInterval(timer);
        await Promise.all(telling);
        await others.settle(10_000);
        const slowestMs = Math.round(others.delays().at(-1) ?? 0);
        return { count: telling.length, missing: others.missing(), slowestMs };
      };
    },
  };
}
