import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { PartnerTerms } from '../../src/sharing/ports.ts';
import {
  businessDocument,
  refusalOf,
  sampleDocument,
  shareLab,
  userDocument,
  type LabBrand,
} from '../support/share-lab.ts';

const lab = shareLab();

interface Clone {
  session_id: string;
  session_number: number;
  session_kind: string;
  status: string;
  workflow_id: string | null;
  vendor_data: string | null;
  parent_import: string | null;
  shared_from_session: string;
}

const clonesOf = (of: LabBrand, sessionId: string) =>
  lab.rows<Clone>(
    `select session_id, session_number::float8 as session_number, session_kind, status, workflow_id, vendor_data,
       parent_import, shared_from_session
     from session where application_id = $1 and parent_import = $2 order by session_number`,
    [of.id, sessionId],
  );

/** `kyc_session_id` of every officer of the decision, in order. */
function officersOf(decision: JsonObject | null): unknown[] {
  const [check] = (decision?.['key_people_checks'] ?? []) as {
    registry: { officers: { kyc_session_id: unknown }[] };
  }[];
  return check?.registry.officers.map((officer) => officer.kyc_session_id) ?? [];
}

async function pair(terms?: PartnerTerms): Promise<{ from: LabBrand; to: LabBrand }> {
  const [from, to] = [await lab.newBrand(), await lab.newBrand()];
  if (terms !== undefined) await lab.connect(from, to, terms);
  return { from, to };
}

describe('the people of a business', () => {
  it('come along once each, numbered of their own, and every place leads to their clone', async () => {
    const order = await pair();
    const director = await lab.takeIn(
      sampleDocument('kyc-director', { external_id: 'sample-kyc-director' }),
      order.from,
    );
    const owner = await lab.takeIn(sampleDocument('kyc-owner', { external_id: 'sample-kyc-owner' }), order.from);
    const source = await lab.takeIn(sampleDocument('kyb-approved'), order.from);
    const { tokenId } = await lab.mint(source, order);

    const imported = await lab.redeem(tokenId, { trustReview: true }, order.to);

    const clones = await clonesOf(order.to, imported.sessionId);
    expect(clones.map(({ shared_from_session }) => shared_from_session).sort()).toEqual([director, owner].sort());
    expect(clones.map(({ session_number }) => session_number)).toEqual([1, 2]);
    for (const clone of clones) {
      expect(clone).toMatchObject({ session_kind: 'user', workflow_id: order.to.workflows.user, vendor_data: null });
    }
    const cloneOf = new Map<unknown, unknown>([[null, null]]);
    for (const clone of clones) cloneOf.set(clone.shared_from_session, clone.session_id);
    const issuers = linksIn(await lab.decision(order.from, source));
    const partners = linksIn(imported.decision);
    expect(issuers.size).toBeGreaterThan(4);
    expect(partners).toEqual(new Map([...issuers].map(([place, id]) => [place, cloneOf.get(id)])));
    expect(linksIn(await lab.decision(order.to, imported.sessionId))).toEqual(partners);
  });

  it('have no redemption and no event, and one provenance by the business’s token', async () => {
    const order = await pair();
    const person = await lab.takeIn(userDocument(), order.from);
    const { tokenId } = await lab.mint(await lab.takeIn(businessDocument([person]), order.from), order);
    const imported = await lab.redeem(tokenId, {}, order.to);
    const [clone] = await clonesOf(order.to, imported.sessionId);
    expect(await lab.rows('select session_id from redemption where partner_id = $1', [order.to.id])).toEqual([
      { session_id: imported.sessionId },
    ]);
    expect(
      await lab.rows('select type, session_id, sequence::int, reason from event where application_id = $1', [
        order.to.id,
      ]),
    ).toEqual([
      // Nobody is told of the person's clone.
      { type: 'session.created', session_id: clone?.session_id, sequence: null, reason: 'shared' },
      { type: 'status.updated', session_id: imported.sessionId, sequence: 1, reason: 'imported' },
    ]);
    expect(
      await lab.rows('select hop, source_session_id, token_id from session_provenance where session_id = $1', [
        clone?.session_id,
      ]),
    ).toEqual([{ hop: 1, source_session_id: person, token_id: tokenId }]);
  });

  it('who are unfinished, unknown, companies or named by nobody become null', async () => {
    const order = await pair();
    const finished = await lab.takeIn(userDocument(), order.from);
    const unfinished = await lab.takeIn(userDocument({ status: 'In Progress' }), order.from);
    const company = await lab.takeIn(businessDocument(), order.from);
    const elsewhere = await lab.takeIn(userDocument());
    const references = [finished, unfinished, company, elsewhere, randomUUID(), 'never arrived', null];
    const source = await lab.takeIn(businessDocument(references), order.from);
    // Their owner sees its own words, whatever became of them.
    expect(officersOf(await lab.decision(order.from, source))).toEqual(references);

    const imported = await lab.redeem((await lab.mint(source, order)).tokenId, {}, order.to);

    const [clone, ...others] = await clonesOf(order.to, imported.sessionId);
    expect(others).toEqual([]);
    expect(officersOf(imported.decision)).toEqual([clone?.session_id, null, null, null, null, null, null]);
  });

  it('who are of another environment become null', async () => {
    const order = await pair();
    const person = await lab.takeIn(userDocument(), order.from);
    await lab.rows(`update session set environment = 'live' where session_id = $1`, [person]);
    const source = await lab.takeIn(businessDocument([person]), order.from);
    const imported = await lab.redeem((await lab.mint(source, order)).tokenId, {}, order.to);
    expect(await clonesOf(order.to, imported.sessionId)).toEqual([]);
    expect(officersOf(imported.decision)).toEqual([null]);
  });

  it('stay as they are until the import is committed, and so does their business', async () => {
    const order = await pair();
    const person = await lab.takeIn(userDocument(), order.from);
    const source = await lab.takeIn(businessDocument([person]), order.from);
    const { tokenId } = await lab.mint(source, order);
    // The counter is the last row that an import locks: whoever holds it holds the import.
    await lab.takeIn(userDocument(), order.to);
    const counter = ['select 1 from session_counter where application_id = $1 for update', order.to.id] as const;
    const [imported] = await lab.holding(counter, async () => {
      const underWay = lab.redeem(tokenId, {}, order.to);
      await Promise.race([underWay, lab.waiting(1)]);
      for (const sessionId of [source, person]) {
        const change = lab.rows('select 1 from session where session_id = $1 for no key update nowait', [sessionId]);
        await expect(change).rejects.toMatchObject({ code: '55P03' });
      }
      return [underWay];
    });
    await expect(imported).resolves.toHaveProperty('sessionId');
  });

  it('are linked when they arrive after the business, by external id or session id', async () => {
    const order = await pair();
    const source = await lab.takeIn(businessDocument(['hr-77']), order.from);
    expect(officersOf(await lab.decision(order.from, source))).toEqual(['hr-77']);
    const late = await lab.takeIn(userDocument({ external_id: 'hr-77' }), order.from);
    expect(officersOf(await lab.decision(order.from, source))).toEqual([late]);
    const imported = await lab.redeem((await lab.mint(source, order)).tokenId, {}, order.to);
    expect(await clonesOf(order.to, imported.sessionId)).toMatchObject([{ shared_from_session: late }]);
  });

  it.each<[PartnerTerms | undefined, (from: LabBrand) => string]>([
    [undefined, (from) => `${from.id}:officer-3`],
    [{ vendorDataRule: 'prefixed' }, (from) => `${from.id}:officer-3`],
    [{ vendorDataRule: 'same' }, () => 'officer-3'],
  ])('of an onboarding get vendor_data and an entity by the rule of %j', async (terms, wanted) => {
    const order = await pair(terms);
    const named = await lab.takeIn(userDocument({ vendor_data: 'officer-3' }), order.from);
    const nameless = await lab.takeIn(userDocument({ vendor_data: null }), order.from);
    const tokenId = await lab.start(await lab.takeIn(businessDocument([named, nameless]), order.from), order);
    await lab.acknowledge(tokenId, { vendorData: 'the company', trustReview: true, by: order.to });
    const answer = await lab.runImport(tokenId);
    if (answer.state !== 'redeemed') throw new Error(answer.state);
    const clones = await clonesOf(order.to, answer.sessionId);
    const vendorData = new Map(clones.map((clone) => [clone.shared_from_session, clone.vendor_data]));
    expect(vendorData).toEqual(
      new Map([
        [named, wanted(order.from)],
        [nameless, null],
      ]),
    );
    // The acknowledgement's choices are about the company; the trust goes for all.
    expect(clones.map(({ status }) => status)).toEqual(['Approved', 'Approved']);
    expect(
      await lab.rows('select session_kind, vendor_data from entity where application_id = $1 order by 1', [
        order.to.id,
      ]),
    ).toEqual([
      { session_kind: 'business', vendor_data: 'the company' },
      { session_kind: 'user', vendor_data: wanted(order.from) },
    ]);
  });

  it('are in review unless the business is trusted', async () => {
    const order = await pair();
    const person = await lab.takeIn(userDocument({ status: 'Declined' }), order.from);
    const source = await lab.takeIn(businessDocument([person]), order.from);
    const imported = await lab.redeem((await lab.mint(source, order)).tokenId, {}, order.to);
    expect(await clonesOf(order.to, imported.sessionId)).toMatchObject([{ status: 'In Review' }]);
  });

  it('have no verification workflow where the partner has no default one', async () => {
    const from = await lab.newBrand();
    const to = await lab.newBrand('sandbox', false);
    const person = await lab.takeIn(userDocument(), from);
    const source = await lab.takeIn(businessDocument([person]), from);
    const { tokenId } = await lab.mint(source, { from, to });
    const imported = await lab.redeem(tokenId, { workflowId: to.workflows.business }, to);
    expect(await clonesOf(to, imported.sessionId)).toMatchObject([{ workflow_id: null }]);
  });

  it('neither block nor are blocked by a user token of the same person', async () => {
    for (const personFirst of [true, false]) {
      const order = await pair();
      const person = await lab.takeIn(userDocument(), order.from);
      const business = await lab.mint(await lab.takeIn(businessDocument([person]), order.from), order);
      const user = await lab.mint(person, order);
      const tokens = personFirst ? [user, business] : [business, user];
      for (const { tokenId } of tokens) {
        await expect(lab.redeem(tokenId, {}, order.to)).resolves.toHaveProperty('sessionId');
      }
      expect(await lab.rows('select 1 from session where application_id = $1', [order.to.id])).toHaveLength(3);
    }
  });

  it('go with the business import when it is deleted; a user import of the same person stays', async () => {
    const order = await pair();
    const person = await lab.takeIn(userDocument(), order.from);
    const source = await lab.takeIn(businessDocument([person]), order.from);
    const own = await lab.redeem((await lab.mint(person, order)).tokenId, {}, order.to);
    const company = await lab.redeem((await lab.mint(source, order)).tokenId, {}, order.to);
    await lab.remove(order.to, company.sessionId);
    expect(await lab.rows('select session_id from session where application_id = $1', [order.to.id])).toEqual([
      { session_id: own.sessionId },
    ]);
    for (const table of ['session_key', 'session_check', 'session_home', 'session_person', 'session_provenance']) {
      const left = await lab.rows(`select distinct session_id from ${table} where application_id = $1`, [order.to.id]);
      expect(left.every((row) => row['session_id'] === own.sessionId)).toBe(true);
    }
    expect(
      await lab.rows('select session_kind, living::int as living from session_counter where application_id = $1', [
        order.to.id,
      ]),
    ).toEqual(
      expect.arrayContaining([
        { session_kind: 'user', living: 1 },
        { session_kind: 'business', living: 0 },
      ]),
    );
    // The pair is free for a fresh token, and the person comes along again.
    const again = await lab.redeem((await lab.mint(source, order)).tokenId, {}, order.to);
    expect(await clonesOf(order.to, again.sessionId)).toHaveLength(1);
  });

  it('who are deleted at the partner become null in its import', async () => {
    const order = await pair();
    const person = await lab.takeIn(userDocument(), order.from);
    const source = await lab.takeIn(businessDocument([person]), order.from);
    const imported = await lab.redeem((await lab.mint(source, order)).tokenId, {}, order.to);
    const [clone] = await clonesOf(order.to, imported.sessionId);
    await lab.remove(order.to, clone?.session_id ?? '');
    expect(officersOf(await lab.decision(order.to, imported.sessionId))).toEqual([null]);
  });
});

describe('provenance', () => {
  it('names every hop, the nearest first, for the business and for its people', async () => {
    const first = await pair();
    const last = await lab.newBrand();
    const person = await lab.takeIn(userDocument(), first.from);
    const source = await lab.takeIn(businessDocument([person]), first.from);
    const one = await lab.mint(source, first);
    const middle = await lab.redeem(one.tokenId, { trustReview: true }, first.to);
    const two = await lab.mint(middle.sessionId, { from: first.to, to: last });
    const end = await lab.redeem(two.tokenId, { trustReview: true }, last);

    expect(end.decision).toMatchObject({ shared_from_session: middle.sessionId, status: 'APPROVED' });
    const hops = (sessionId: string) =>
      lab.rows(
        `select hop, source_session_id, source_application_id, token_id from session_provenance
         where session_id = $1 order by hop`,
        [sessionId],
      );
    expect(await hops(end.sessionId)).toEqual([
      { hop: 1, source_session_id: middle.sessionId, source_application_id: first.to.id, token_id: two.tokenId },
      { hop: 2, source_session_id: source, source_application_id: first.from.id, token_id: one.tokenId },
    ]);
    const [middlePerson] = await clonesOf(first.to, middle.sessionId);
    const [endPerson] = await clonesOf(last, end.sessionId);
    expect(officersOf(end.decision)).toEqual([endPerson?.session_id]);
    expect(await hops(endPerson?.session_id ?? '')).toEqual([
      {
        hop: 1,
        source_session_id: middlePerson?.session_id,
        source_application_id: first.to.id,
        token_id: two.tokenId,
      },
      { hop: 2, source_session_id: person, source_application_id: first.from.id, token_id: one.tokenId },
    ]);
  });

  it('stays when the sources are deleted, and the way back home is free', async () => {
    const order = await pair();
    const source = await lab.takeIn(userDocument(), order.from);
    const { tokenId } = await lab.mint(source, order);
    const imported = await lab.redeem(tokenId, { trustReview: true }, order.to);
    await lab.remove(order.from, source);
    expect(await lab.decision(order.to, imported.sessionId)).toMatchObject({ shared_from_session: source });
    const back = await lab.mint(imported.sessionId, { from: order.to, to: order.from });
    const returned = await lab.redeem(back.tokenId, {}, order.from);
    expect(
      await lab.rows('select source_session_id from session_provenance where session_id = $1 order by hop', [
        returned.sessionId,
      ]),
    ).toEqual([{ source_session_id: imported.sessionId }, { source_session_id: source }]);
  });
});

describe('numbers', () => {
  it('have no gaps and no doubles per application and kind, however many are taken at once', async () => {
    const order = await pair();
    const people = [await lab.takeIn(userDocument(), order.from), await lab.takeIn(userDocument(), order.from)];
    const tokens = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const source = await lab.takeIn(index % 2 === 0 ? userDocument() : businessDocument(people), order.from);
        return lab.mint(source, order);
      }),
    );
    await Promise.all([
      ...tokens.map(({ tokenId }) => lab.redeem(tokenId, {}, order.to)),
      // A refused import takes no number along.
      ...tokens.map(({ tokenId }) => refusalOf(lab.redeem(tokenId, { workflowId: randomUUID() }, order.to))),
      ...Array.from({ length: 6 }, () => lab.takeIn(userDocument(), order.to)),
    ]);
    const rows = await lab.rows<{ session_kind: string; numbers: number[] }>(
      `select session_kind, array_agg(session_number::int order by session_number) as numbers from session
       where application_id = $1 group by 1 order by 1`,
      [order.to.id],
    );
    const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
    expect(rows).toEqual([
      { session_kind: 'business', numbers: upTo(6) },
      { session_kind: 'user', numbers: upTo(6 + 12 + 6) },
    ]);
    expect(
      await lab.rows(
        `select session_kind, last_number::int as last, living::int as living from session_counter
         where application_id = $1 order by 1`,
        [order.to.id],
      ),
    ).toEqual([
      { session_kind: 'business', last: 6, living: 6 },
      { session_kind: 'user', last: 24, living: 24 },
    ]);
  });

  it('are never given twice, whatever is deleted', async () => {
    const brand = await lab.newBrand();
    const first = await lab.takeIn(userDocument(), brand);
    expect(await lab.remove(brand, first)).toEqual({ sessionNumber: 1 });
    const second = await lab.takeIn(userDocument(), brand);
    expect(await lab.decision(brand, second)).toMatchObject({ session_number: 2 });
  });
});

/** Every `kyc_session_id` of a decision, by its place. */
function linksIn(decision: JsonObject | null): Map<string, unknown> {
  const links = new Map<string, unknown>();
  const walk = (value: unknown, place: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, member] of Object.entries(value)) {
      if (key === 'kyc_session_id') links.set(place, member);
      else walk(member, `${place}/${key}`);
    }
  };
  walk(decision, '');
  return links;
}
