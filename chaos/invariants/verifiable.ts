import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import type { JsonValue } from '../../src/domain/json.ts';
import type { Brand } from '../brands.ts';
import type { Invariant } from '../invariant.ts';
import type { Heard } from '../ledger.ts';
import { brandsById, finding } from '../oracle-reading.ts';
import { bodyOf } from '../webhook-text.ts';

/** As both schemes have it: a signed time may be so far from the receiver's, in seconds. */
const TOLERANCE_SECONDS = 300;

/** I5: by the library `standardwebhooks`, and by Didit's recipe, which is written here anew. */
export const verifiable: Invariant = {
  id: 'I5',
  says: 'every delivery verifies under Standard Webhooks and under Didit V2',
  check: (rig) => {
    const brands = brandsById(rig);
    const breaks = rig.ledger.heard.flatMap((heard) => {
      const brand = brands.get(heard.as);
      if (brand === undefined) return [`a delivery at ${heard.as}, which is nobody's endpoint`];
      return problemsOf(heard, brand).map((problem) => `${String(heard.headers['webhook-id'])}: ${problem}`);
    });
    return Promise.resolve(finding(`${rig.ledger.heard.length} deliveries`, breaks));
  },
};

function problemsOf({ rawBody, headers, at }: Heard, { secrets }: Brand): string[] {
  const problems: string[] = [];
  const body = bodyOf(rawBody);
  const stamp = Number(headers['webhook-timestamp']);
  const id = String(headers['webhook-id']);
  // By what the library signs: its `verify` knows no time but now, and this one came some time ago.
  const expected = new Webhook(secrets.secret_standard_webhooks).sign(id, new Date(stamp * 1_000), rawBody);
  if (!String(headers['webhook-signature']).split(' ').includes(expected)) problems.push('wrong webhook-signature');
  if (id !== `evt_${String(body['event_id'])}`) problems.push('webhook-id is not of the event');
  const hmac = (text: string) => createHmac('sha256', secrets.secret_shared_key).update(text).digest('hex');
  if (headers['x-signature-v2'] !== hmac(JSON.stringify(sorted(body)))) problems.push('wrong x-signature-v2');
  if (headers['x-signature'] !== hmac(rawBody)) problems.push('wrong x-signature');
  const times = [headers['x-timestamp'], headers['webhook-timestamp'], String(body['timestamp'])];
  if (new Set(times).size !== 1) problems.push(`signed times differ: ${times.join(', ')}`);
  if (!(Math.abs(at / 1_000 - stamp) <= TOLERANCE_SECONDS))
    problems.push(`signed ${at / 1_000 - stamp} s before it came`);
  return problems;
}

/** Didit's receiver: keys sorted, arrays as they are. */
function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, sorted(value[key] ?? null)]));
}
