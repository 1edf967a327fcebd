import { randomInt, randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { AUDITED_COLUMNS } from '../../src/audit/audited-event.ts';
import type { FindingCode } from '../../src/audit/findings.ts';
import { auditLab } from '../support/audit-lab.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { recomputeChain } from '../support/recompute-chain.ts';

const lab = auditLab();
const ours = randomUUID();
const other = randomUUID();
const LENGTH = 12;
/** Anchors stand here. */
const ANCHORED = [4, 8, 12];
let events: string[];

beforeAll(async () => {
  events = [];
  for (const _ of ANCHORED) {
    events.push(...(await lab.write(ours, 4)));
    await lab.write(other, 2);
    await lab.seal();
    await lab.anchor();
  }
  await lab.save();
});

/** What is found after these changes, which are undone again. */
async function findAfter(change: () => Promise<unknown>, publicKeys?: null) {
  try {
    await change();
    const { findings } = await (publicKeys === null ? lab.verify(null) : lab.verify());
    return findings;
  } finally {
    await lab.restore();
  }
}

/** The first thing that is found, without its sentence. */
async function firstAfter(change: () => Promise<unknown>, publicKeys?: null) {
  const [first] = await findAfter(change, publicKeys);
  return first === undefined ? null : { code: first.code, of: first.applicationId, position: first.position };
}

const found = (code: FindingCode, position: number | null) => ({ code, of: ours, position });
const eventAt = (position: number) => events[position - 1] ?? '';
const anywhere = fc.integer({ min: 1, max: LENGTH });

const recompute = () => recomputeChain((text, values) => lab.rows(text, values), ours);

describe('an untouched trail', () => {
  it('passes, and says how far it is anchored', async () => {
    const { applications, findings, halfLines } = await lab.verify();
    expect(findings).toEqual([]);
    expect(halfLines).toBe(0);
    const report = applications.find(({ applicationId }) => applicationId === ours);
    expect(report).toMatchObject({ sound: LENGTH, waiting: 0, lastAnchor: { position: LENGTH } });
  });

  it('passes with events that are not sealed and not anchored yet', async () => {
    expect(
      await findAfter(async () => {
        await lab.write(ours, 1);
        await lab.seal();
        await lab.write(ours, 1);
        const { applications, findings } = await lab.verify();
        expect(findings).toEqual([]);
        const report = applications.find(({ applicationId }) => applicationId === ours);
        expect(report).toMatchObject({ sound: LENGTH + 1, waiting: 1, lastAnchor: { position: LENGTH } });
      }),
    ).toEqual([]);
  });
});

/** SQL of another value than a column has, made by changing one byte, digit or character of it. */
const OTHER: Readonly<Record<string, (at: number) => string>> = {
  uuid: (at) => {
    const place = [1, 5, 12, 17, 22, 36][at % 6];
    const digit = `substr(VALUE::text, ${place}, 1)`;
    return `overlay(VALUE::text placing (case ${digit} when 'a' then 'b' else 'a' end) from ${place} for 1)::uuid`;
  },
  bytea: (at) => `set_byte(VALUE, ${at} % length(VALUE), get_byte(VALUE, ${at} % length(VALUE)) # ${1 << (at % 8)})`,
  int8: () => 'VALUE + 1',
  timestamptz: () => `VALUE + interval '1 microsecond'`,
  text: (at) =>
    `overlay(VALUE placing chr(ascii(substr(VALUE, 1 + ${at} % length(VALUE), 1)) # 1) from 1 + ${at} % length(VALUE) for 1)`,
};
const ANY: Readonly<Record<string, string>> = {
  uuid: 'gen_random_uuid()',
  bytea: `'\\x00'`,
  int8: '1',
  text: `'x'`,
};

describe('an event', () => {
  const typeOf = async (column: string) => {
    const [row] = await lab.rows<{ type: string }>(
      `select udt_name as type from information_schema.columns where table_name = 'event' and column_name = $1`,
      [column],
    );
    return row?.type ?? '';
  };

  it.each(AUDITED_COLUMNS.filter((column) => column !== 'event_id'))('is named when its %s changes', async (column) => {
    const type = await typeOf(column);
    for (let tries = 0; tries < 3; tries += 1) {
      const [position, byte] = [randomInt(1, LENGTH + 1), randomInt(0, 64)];
      const changed = `coalesce(${(OTHER[type] as (at: number) => string)(byte).replaceAll('VALUE', column)}, ${ANY[type] ?? 'null'})`;
      const first = await firstAfter(() =>
        lab.tamper(`update event set ${column} = ${changed} where event_id = $1`, [eventAt(position)]),
      );
      expect(first, `${column} of ${position}, byte ${byte}`).toEqual(found('event_altered', position));
    }
  });

  it.each(['reason', 'before_sha256', 'after_sha256', 'actor_id', 'request_id', 'token_id', 'session_id'])(
    'is named when its %s goes',
    async (column) => {
      const change = () => lab.tamper(`update event set ${column} = null where event_id = $1`, [eventAt(7)]);
      expect(await firstAfter(change)).toEqual(found('event_altered', 7));
    },
  );

  it.each(["sealed_at - interval '1 year'", "sealed_at + interval '1 us'", "'-infinity'"])(
    'has a row that is named when it says that it was sealed at %s',
    async (time) => {
      const change = `update audit_chain set sealed_at = ${time} where application_id = $1 and position = 6`;
      expect(await firstAfter(() => lab.tamper(change, [ours]))).toEqual(found('row_altered', 6));
    },
  );

  it('is named behind a clean copy that the database’s search path shows', async () => {
    const [{ name } = { name: '' }] = await lab.rows<{ name: string }>('select current_database() as name');
    const change = async () => {
      await lab.rows('create schema shadow');
      for (const table of ['event', 'event_payload', 'audit_unsealed', 'audit_chain', 'audit_head', 'audit_anchor']) {
        await lab.rows(`create table shadow.${table} as table public.${table}`);
      }
      await lab.rows('grant usage on schema shadow to public');
      await lab.rows('grant select on all tables in schema shadow to public');
      await lab.rows(`alter database "${name}" set search_path = shadow, public`);
      await lab.tamper(`update public.event set reason = 'mended' where event_id = $1`, [eventAt(5)]);
    };
    try {
      expect(await firstAfter(change)).toEqual(found('event_altered', 5));
    } finally {
      await lab.rows(`alter database "${name}" reset search_path`);
      await lab.rows('drop schema shadow cascade');
    }
  });

  it('is named when it gets another id, or goes', async () => {
    for (const change of [
      'update event set event_id = gen_random_uuid() where event_id = $1',
      'delete from event where event_id = $1',
    ]) {
      expect(await firstAfter(() => lab.tamper(change, [eventAt(5)]))).toEqual(found('event_removed', 5));
    }
  });

  it('is named when it is put in, and when it vanishes, before it is sealed', async () => {
    const id = randomUUID();
    const insert = `insert into event
      (event_id, application_id, type, subject_id, sequence, actor_kind, salt, digest, dedupe_key)
      values ($1, $2, 'status.updated', $1, 1, 'system', '\\x01', '\\x02', gen_random_uuid())`;
    const putIn = await findAfter(() => lab.tamper(insert, [id, ours]));
    expect(putIn).toMatchObject([{ code: 'event_lost', eventId: id }]);
    const gone = await findAfter(async () => {
      const [waiting] = await lab.write(ours, 1);
      await lab.tamper('delete from event where event_id = $1', [waiting]);
    });
    expect(gone).toMatchObject([{ code: 'event_lost' }]);
    const unqueued = await findAfter(async () => {
      const [waiting] = await lab.write(ours, 1);
      await lab.tamper('delete from audit_unsealed where event_id = $1', [waiting]);
    });
    expect(unqueued).toMatchObject([{ code: 'event_lost' }]);
  });

  it.each([
    [
      'a trigger that lets it not be written',
      `create function drop_it() returns trigger language plpgsql as 'begin return null; end';
       create trigger aa before insert on event for each row when (new.type = 'session.deleted') execute function drop_it()`,
      'drop function drop_it() cascade',
      'A trigger of event that this build does not know, aa,',
    ],
    [
      'a rule that lets it not be written',
      `create rule aa as on insert to event where new.type = 'session.deleted' do instead nothing`,
      'drop rule aa on event',
      'A rule of event that this build does not know, aa,',
    ],
    [
      'a trigger of the chain',
      `create function drop_it() returns trigger language plpgsql as 'begin return null; end';
       create trigger aa before insert on audit_chain for each row execute function drop_it()`,
      'drop function drop_it() cascade',
      'A trigger of audit_chain that this build does not know, aa,',
    ],
    [
      'its own trigger switched off',
      'alter table event disable trigger event_queued_for_audit',
      'alter table event enable trigger event_queued_for_audit',
      'The trigger event_queued_for_audit of event is missing, switched off or not as this build makes it',
    ],
    [
      'its own trigger with another work',
      `alter function queue_for_audit() rename to kept;
       create function queue_for_audit() returns trigger language plpgsql as 'begin return null; end';
       create or replace trigger event_queued_for_audit after insert on event for each row execute function queue_for_audit()`,
      `create or replace trigger event_queued_for_audit after insert on event for each row execute function kept();
       drop function queue_for_audit(); alter function kept() rename to queue_for_audit`,
      'The trigger event_queued_for_audit of event is missing, switched off or not as this build makes it',
    ],
  ])('may not have been written at all: %s is named', async (_what, install, remove, sentence) => {
    await lab.rows(install);
    try {
      const { findings } = await lab.verify();
      expect(findings).toMatchObject([
        { code: 'trigger_unknown', applicationId: null, sentence: expect.stringContaining(sentence) as string },
      ]);
    } finally {
      await lab.rows(remove);
    }
    expect((await lab.verify()).findings).toEqual([]);
  });

  it('is named when it is queued in another application’s name, which no relay seals it by', async () => {
    let written = '';
    const moved = await findAfter(async () => {
      [written = ''] = await lab.write(ours, 1);
      await lab.tamper('update audit_unsealed set application_id = $2 where event_id = $1', [written, other]);
      await lab.write(ours, 2);
      await lab.seal();
    });
    expect(moved).toMatchObject([{ code: 'event_lost', applicationId: ours, eventId: written }]);
  });

  it('is named when it waits to be sealed for more than five minutes, whatever time it says', async () => {
    for (const [minutes, codes] of [
      [4, []],
      [-6, ['not_sealed']],
      [6, ['not_sealed']],
    ] as const) {
      const findings = await findAfter(async () => {
        const [waiting] = await lab.write(ours, 2);
        await lab.tamper(`update event set created_at = created_at - $2 * interval '1 minute' where event_id = $1`, [
          waiting,
          minutes,
        ]);
      });
      expect(findings.map(({ code }) => code)).toEqual(codes);
      for (const finding of findings) expect(finding.sentence).toContain('come: 1, the first of');
    }
  });

  it('is named when no anchor has shown it for more than five minutes', async () => {
    try {
      const findings = await findAfter(async () => {
        await lab.write(ours, 2);
        await lab.seal();
        await lab.tamper('update audit_head set anchored_position = position');
        await lab.anchor();
        expect((await lab.verify()).findings).toEqual([]);
        await shiftClock(lab.database.pool, '301 seconds');
        expect((await lab.verify(null)).findings, 'which only the anchors tell').toEqual([]);
      });
      expect(findings).toMatchObject([{ code: 'not_anchored', applicationId: ours, position: LENGTH + 1 }]);
      expect((await lab.verify()).findings, 'anchored, however old').toEqual([]);
    } finally {
      await resetClock(lab.database.pool);
    }
  });

  it('is named when another payload stands in the place of its own', async () => {
    const swap = () =>
      lab.tamper(
        `update event_payload p set payload = o.payload from event_payload o where p.event_id = $1 and o.event_id = $2`,
        [eventAt(3), eventAt(4)],
      );
    expect(await firstAfter(swap)).toEqual(found('payload_altered', 3));
    const erased = () => lab.tamper('delete from event_payload where event_id = $1', [eventAt(3)]);
    expect(await findAfter(erased)).toEqual([]);
  });
});

describe('the chain', () => {
  it.each(['row_sha256', 'chain_sha256'])('names the row whose %s changed by a byte', async (column) => {
    await fc.assert(
      fc.asyncProperty(anywhere, fc.integer({ min: 0, max: 31 }), async (position, byte) => {
        const change = `update audit_chain set ${column} = set_byte(${column}, ${byte}, get_byte(${column}, ${byte}) # 1)
          where application_id = $1 and position = $2`;
        const first = await firstAfter(() => lab.tamper(change, [ours, position]));
        expect(first).toMatchObject({ of: ours, position });
      }),
      { numRuns: 6 },
    );
  });

  it('names the place of a row that was removed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: LENGTH - 1 }), async (position) => {
        const drop = () =>
          lab.tamper('delete from audit_chain where application_id = $1 and position = $2', [ours, position]);
        expect(await firstAfter(drop)).toEqual(found('rows_removed', position));
        const close = async () => {
          await drop();
          await lab.tamper('delete from event where event_id = $1', [eventAt(position)]);
          await shift(position, -1);
        };
        expect(await firstAfter(close)).toEqual(found('row_altered', position));
      }),
      { numRuns: 4 },
    );
  });

  it('names the first of two rows that changed places, whatever of them moved', async () => {
    const moves = {
      rows: null,
      events: 'event_id = o.event_id',
      both: 'event_id = o.event_id, row_sha256 = o.row_sha256',
    };
    await lab.tamper('alter table audit_chain drop constraint audit_chain_event_id_key');
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(anywhere, { minLength: 2, maxLength: 2 }),
        fc.constantFrom(...Object.values(moves)),
        async (places, moved) => {
          const [first = 0, second = 0] = places.toSorted((a, b) => a - b);
          const change = () =>
            moved === null
              ? exchange(first, second)
              : lab.tamper(
                  `update audit_chain c set ${moved} from audit_chain o
                   where c.application_id = $1 and o.application_id = $1
                     and (c.position, o.position) in (($2, $3), ($3, $2))`,
                  [ours, first, second],
                );
          expect(await firstAfter(change)).toEqual(found('reordered', first));
        },
      ),
      { numRuns: 9 },
    );
    await lab.tamper('alter table audit_chain add unique (event_id)');
  });

  it('names the place at which a row was put in', async () => {
    const putIn = async () => {
      const [event] = await lab.write(ours, 1);
      await lab.tamper('delete from audit_unsealed where event_id = $1', [event]);
      await shift(6, 1);
      await lab.tamper(
        `insert into audit_chain (application_id, position, event_id, row_sha256, chain_sha256, sealed_at)
         select $1, 6, $2, row_sha256, chain_sha256, sealed_at from audit_chain where application_id = $1 and position = 7`,
        [ours, event],
      );
    };
    expect(await firstAfter(putIn)).toEqual(found('reordered', 6));
  });

  it.each([1, 3, 9, LENGTH])('names the end when %i rows were cut off it, with their events', async (cut) => {
    const kept = LENGTH - cut;
    const change = async () => {
      await lab.tamper('delete from audit_chain where application_id = $1 and position > $2', [ours, kept]);
      await lab.tamper('delete from event where event_id = any ($1)', [events.slice(kept)]);
      await lab.tamper('delete from event_payload where event_id = any ($1)', [events.slice(kept)]);
    };
    expect(await firstAfter(change)).toEqual(found('tail_cut', kept + 1));
    expect(await firstAfter(change, null), 'which only the anchors tell').toBeNull();
  });

  it('names the events that were sealed when only their rows were cut off', async () => {
    const change = () => lab.tamper('delete from audit_chain where application_id = $1 and position > 10', [ours]);
    expect((await findAfter(change)).map(({ code }) => code)).toEqual(['tail_cut', 'event_lost', 'event_lost']);
  });

  it('names the anchors between which it was recomputed', async () => {
    await fc.assert(
      fc.asyncProperty(anywhere, async (position) => {
        const change = async () => {
          await lab.tamper(`update event set reason = 'mended' where event_id = $1`, [eventAt(position)]);
          await recompute();
        };
        const agrees = ANCHORED.findLast((anchored) => anchored < position) ?? 0;
        const [first] = await findAfter(change);
        expect(first).toMatchObject({ code: 'recomputed', applicationId: ours, position: agrees + 1 });
        const last = agrees === 0 ? 'no anchor agrees' : `the last anchor that agrees is of .* at position ${agrees},`;
        expect(first?.sentence).toMatch(new RegExp(`was recomputed: ${last}.* at position ${agrees + 4}\\.`));
      }),
      { numRuns: 5 },
    );
  });

  it('names them too when rows were removed, or exchanged, and all was recomputed', async () => {
    const removed = async () => {
      await lab.tamper('delete from audit_chain where application_id = $1 and position = 6', [ours]);
      await lab.tamper('delete from event where event_id = $1', [eventAt(6)]);
      await recompute();
    };
    expect(await firstAfter(removed)).toEqual(found('recomputed', 5));
    const exchanged = async () => {
      await exchange(2, 3);
      await recompute();
    };
    expect(await firstAfter(exchanged)).toEqual(found('recomputed', 1));
    expect(await firstAfter(exchanged, null), 'which only the anchors tell').toBeNull();
  });

  it('is not taken for another application’s', async () => {
    const change = async () => {
      await lab.tamper('delete from audit_chain where application_id = $1', [ours]);
      await lab.tamper('update audit_chain set application_id = $1 where application_id = $2', [ours, other]);
    };
    expect((await findAfter(change)).map(({ code, applicationId }) => [code, applicationId])).toEqual(
      expect.arrayContaining([
        ['row_altered', ours],
        ['tail_cut', other],
      ]),
    );
  });
});

/** Lets two rows change their positions. */
async function exchange(first: number, second: number) {
  for (const [from, to] of [
    [first, 1000],
    [second, first],
    [1000, second],
  ]) {
    const move = 'update audit_chain set position = $3 where application_id = $1 and position = $2';
    await lab.tamper(move, [ours, from, to]);
  }
}

/** Moves the rows from a position on by one. */
async function shift(from: number, by: 1 | -1) {
  await lab.tamper('update audit_chain set position = position + 100000 where application_id = $1 and position >= $2', [
    ours,
    from,
  ]);
  await lab.tamper(
    'update audit_chain set position = position - 100000 + $2 where application_id = $1 and position > 100000',
    [ours, by],
  );
}
