import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../src/domain/json.ts';
import { readSample } from '../../test/support/brands.ts';
import { addBrands, type BenchBrand } from '../brands.ts';
import type { HttpCalls } from '../http-calls.ts';
import { inFlight } from '../in-flight.ts';
import type { LabDatabase } from '../lab.ts';
import type { Counterparts } from './counterparts.ts';

/** How a share reaches its partner: by the partner's word, or by itself. */
export type Acceptance = 'acknowledge' | 'automatic';

/** An issuer with sessions to share, and a partner for each way of acceptance. */
export interface Issuer extends BenchBrand {
  readonly partners: Readonly<Record<Acceptance, BenchBrand>>;
}

/** One share to come: whose, of what, with whom. */
export interface ShareOrder {
  readonly issuer: BenchBrand;
  readonly partner: BenchBrand;
  readonly sessionId: string;
}

/** How an onboarding ended: both sides are told. */
const ENDINGS = ['share.imported', 'share.rejected', 'share.expired'];

/** What a brand's backend acts on; a partner gets the token with `share.received`. */
const SUBSCRIBED = { issuer: ENDINGS, partner: ['share.received', ...ENDINGS] } as const;

/** More than one: a destination has ten requests in flight at most, and a platform has many brands. */
const ISSUERS = 8;

/** Sessions are taken in by this many calls at a time. */
const TAKING_IN = 16;

/** Makes issuers with their partners and connections, each brand with its destination at the counterparts' receiver. */
export async function makeIssuers(
  database: LabDatabase,
  http: HttpCalls,
  counterparts: Counterparts,
): Promise<Issuer[]> {
  const brands = await addBrands(database.url, ISSUERS * 3);
  const issuers: Issuer[] = [];
  while (brands.length > 0) {
    const [issuer, acknowledge, automatic] = brands.splice(0, 3);
    if (issuer === undefined || acknowledge === undefined || automatic === undefined) break;
    for (const brand of [issuer, acknowledge, automatic]) {
      const destination = await http.call(brand, 'POST', '/v3/webhook/destinations/', {
        url: counterparts.urlOf(brand),
        subscribed_events: [...SUBSCRIBED[brand === issuer ? 'issuer' : 'partner']],
      });
      counterparts.know(brand, String(destination['secret_shared_key']));
    }
    await connect(http, issuer, acknowledge, 'acknowledge');
    await connect(http, issuer, automatic, 'automatic');
    issuers.push({ ...issuer, partners: { acknowledge, automatic } });
  }
  return issuers;
}

/** Takes so many approved sessions in, and orders each to be shared. */
export async function takeInToShare(
  http: HttpCalls,
  issuers: readonly Issuer[],
  acceptance: Acceptance,
  count: number,
): Promise<ShareOrder[]> {
  const sample = readSample('kyc-approved');
  const turns = Array.from({ length: Math.ceil(count / issuers.length) }, () => issuers)
    .flat()
    .slice(0, count);
  const { results } = await inFlight(turns, TAKING_IN, async (issuer) => {
    const body: JsonObject = { ...sample, external_id: randomUUID() };
    const taken = await http.call(issuer, 'POST', '/v1/sessions/', body);
    return { issuer, partner: issuer.partners[acceptance], sessionId: String(taken['session_id']) };
  });
  return results;
}

async function connect(
  http: HttpCalls,
  issuer: BenchBrand,
  partner: BenchBrand,
  acceptance: Acceptance,
): Promise<void> {
  const proposed = await http.call(issuer, 'POST', '/v1/connections/', { partner_application_id: partner.id });
  const path = `/v1/connections/${String(proposed['connection_id'])}/`;
  await http.call(partner, 'PATCH', path, { status: 'active', acceptance, trust_review: true });
}
