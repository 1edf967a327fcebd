import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CHECK_CATEGORIES, type SessionKind } from '../../src/domain/decision-categories.ts';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';
import { sealContextOfEvent } from '../../src/postgres/events.ts';
import { homeContext } from '../../src/sharing/store-content.ts';
import { testSealer } from '../support/app-parts.ts';
import { businessDocument, shareLab, userDocument, type LabBrand } from '../support/share-lab.ts';

const lab = shareLab();

/** Makes values that are found wherever they get to; each names the place that it was planted in. */
class Canaries {
  readonly planted: string[] = [];
  readonly #flock = randomUUID();

  text(place: string): string {
    const canary = `canary-${this.#flock}-${this.planted.length}-${place}-ü`;
    this.planted.push(canary);
    return canary;
  }

  object(place: string): JsonObject {
    return { [this.text(`${place}-key`)]: 1, deep: [{ text: this.text(place) }] };
  }
}

/** One item of an array, with a canary in every place that must not cross (contract row 29). */
function planted(item: JsonObject, category: string, canaries: Canaries): JsonObject {
  const at = (place: string) => canaries.text(`${category}.${place}`);
  const home: JsonObject = {
    matches: [{ session_id: at('matches.id'), user_details: { full_name: at('matches.name') } }, at('matches')],
    session_url: at('session_url'),
    session_token: at('session_token'),
    nested: [{ kyc_session_url: at('kyc_session_url'), kyb_sub_session_url: at('sub_url'), matches: [at('deep')] }],
    warnings: [
      {
        risk: 'DUPLICATED_FACE',
        additional_data: {
          duplicated_session_id: at('duplicated_session_id'),
          duplicated_session_number: at('duplicated_number'),
          more: { duplicated_vendor_data: at('duplicated_vendor_data') },
        },
      },
    ],
  };
  if (category === 'reviews') {
    home['user'] = at('user');
    home['log'] = [
      {
        actor_email: at('actor_email'),
        actor_name: at('actor_name'),
        actor_display: at('actor_display'),
        mentioned_emails: [at('mentioned')],
        comment: 'stays',
      },
    ];
  }
  if (category === 'key_people_checks' || category === 'registry_checks') {
    home['officers'] = [{ kyc_session_id: at('reference'), name: 'An officer' }];
  }
  return { ...item, ...home };
}

/** A document with one full item in every array, and canaries in every place that must not cross. */
function record(kind: SessionKind, canaries: Canaries, person: string | null = null): JsonObject {
  const document = kind === 'user' ? userDocument() : businessDocument();
  for (const category of CHECK_CATEGORIES[kind]) {
    const [first = { status: 'Approved', score: 0.5, note: 'crosses' }] = (document[category] ?? []) as JsonObject[];
    const second = { status: 'Approved', second: true, ...(kind === 'business' && { kyc_session_id: person }) };
    document[category] = [planted(first, category, canaries), second];
  }
  return {
    ...document,
    external_id: canaries.text('external_id'),
    session_url: canaries.text('session_url'),
    metadata: canaries.object('metadata'),
    callback: canaries.text('callback'),
    contact_details: canaries.object('contact_details'),
    expected_details: canaries.object('expected_details'),
  };
}

/** Every column of every row that is not this application's own: sealed content opened, other bytes read as text. */
async function rowsOutside(owner: LabBrand): Promise<string> {
  const tables = await lab.rows<{ name: string; columns: string[] }>(
    `select c.relname as name, array_agg(a.attname::text) as columns
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' group by 1`,
  );
  const texts: string[] = [];
  for (const { name, columns } of tables) {
    const where = columns.includes('application_id') ? 'where application_id <> $1' : 'where $1::uuid is not null';
    for (const row of await lab.rows(`select * from "${name}" ${where}`, [owner.id])) texts.push(textOfRow(row));
  }
  return [...texts, ...(await contentOutside(owner))].join('\n');
}

/** What is sealed of sessions and events that are not this application's own. */
async function contentOutside(owner: LabBrand): Promise<string[]> {
  const rows = await lab.rows<{
    at: string;
    of: string;
    session: string | null;
    place: [string, number];
    bytes: Buffer;
  }>(
    `select application_id as of, session_id as session, 'check' as at, json_build_array(category, position)::jsonb as place,
       with_key(session_id, payload) as bytes from session_check where application_id <> $1
     union all
     select application_id, session_id, 'home', json_build_array(category, position)::jsonb, with_key(session_id, payload)
     from session_home where application_id <> $1
     union all
     select e.application_id, e.session_id, 'event', json_build_array(e.event_id, 0)::jsonb, p.payload
     from event e join event_payload p on p.event_id = e.event_id where e.application_id <> $1`,
    [owner.id],
  );
  return rows.map(({ at, of: applicationId, session, place: [what, position], bytes }) => {
    const own = { applicationId, sessionId: session ?? '' };
    const contexts = {
      check: { ...own, category: what, position },
      home: homeContext(own, what, position),
      event: sealContextOfEvent({ applicationId, sessionId: session, eventId: what }),
    };
    return testSealer.openBytes(contexts[at as keyof typeof contexts], bytes).toString();
  });
}

function textOfRow(row: Record<string, unknown>): string {
  return Object.values(row)
    .map((value) => (Buffer.isBuffer(value) ? value.toString('utf8') : (JSON.stringify(value) ?? '')))
    .join('\n');
}

/** The canaries that a text holds. */
const found = (canaries: Canaries, text: string) => canaries.planted.filter((canary) => text.includes(canary));

describe.each(['user', 'business'] as const)('what is the issuer’s own in a %s record', (kind) => {
  it.each(['plain', 'onboarding'] as const)('stays home on the %s way, over every hop', async (way) => {
    const [from, to, next] = [await lab.newBrand(), await lab.newBrand(), await lab.newBrand()];
    const canaries = new Canaries();
    const person = kind === 'business' ? await lab.takeIn(record('user', canaries), from) : null;
    const source = await lab.takeIn(record(kind, canaries, person), from);

    let imported: string;
    const answers: JsonValue[] = [];
    if (way === 'plain') {
      const answer = await lab.redeem((await lab.mint(source, { from, to })).tokenId, { trustReview: true }, to);
      answers.push(answer.decision);
      imported = answer.sessionId;
    } else {
      const tokenId = await lab.start(source, { from, to });
      await lab.acknowledge(tokenId, { by: to, trustReview: true });
      const answer = await lab.runImport(tokenId);
      if (answer.state !== 'redeemed') throw new Error(answer.state);
      imported = answer.sessionId;
    }
    const second = await lab.redeem((await lab.mint(imported, { from: to, to: next })).tokenId, {}, next);
    answers.push(second.decision, await lab.decision(to, imported), await lab.decision(next, second.sessionId));

    expect(found(canaries, JSON.stringify(answers))).toEqual([]);
    expect(found(canaries, await rowsOutside(from))).toEqual([]);
    // The search would have found them: they are all in the issuer's rows, and its own record shows them.
    expect(found(canaries, await rowsOutside(to)).length).toBe(canaries.planted.length);
    const own = [await lab.decision(from, source), person === null ? null : await lab.decision(from, person)];
    const text = JSON.stringify(own);
    const unseen = canaries.planted.filter((canary) => !text.includes(canary));
    // The issuer's own id of a record is a column, and no part of its decision.
    expect(unseen.every((canary) => canary.includes('-external_id-'))).toBe(true);
    expect(unseen).toHaveLength(person === null ? 1 : 2);
  });
});
