import { deliveryLedger, dispatchEvents } from '../../src/postgres/deliveries.ts';
import { attemptDelivery } from '../../src/webhooks/attempt-delivery.ts';
import { formBytes } from '../support/import-files.ts';
import { KEYS, textOf, type Brand, type TestApi } from './api.ts';
import { businessDocument, mint, takeIn, userDocument } from './documents.ts';
import type { Person } from './people.ts';
import { testSealer } from '../support/app-parts.ts';

/** Ids of what one tenant has, by the path up to them: `/v3/webhook/destinations/:uuid`. */
export type Holdings = Readonly<Record<string, string>>;

/** One of everything that a path can name, made for a brand over HTTP. */
export async function holdingsOf(api: TestApi, owner: Brand, other: Brand, name = 'held'): Promise<Holdings> {
  // Each makes its entity as well.
  const vendorData = `${name}-by-${owner.id}`;
  const session = await takeIn(api, owner, userDocument({ vendor_data: vendorData }));
  await takeIn(api, owner, businessDocument({ vendor_data: vendorData }));
  const destination = await api.call(owner, 'POST', '/v3/webhook/destinations/', {
    url: `https://${owner.id}.example/${name}`,
    subscribed_events: ['share.minted'],
  });
  const onboarding = await api.call(owner, 'POST', '/v1/onboardings/', {
    session_id: session,
    for_application_id: other.id,
  });
  const connection = await api.call(owner, 'POST', '/v1/connections/', { partner_application_id: other.id });
  const form = await formBytes(
    { import_type: 'user_verification' },
    { name: 'one.ndjson', content: '{"external_id":"held","status":"Approved"}\n' },
  );
  const file = await api.call(owner, 'POST', '/v3/session/imports/', form.payload, form.headers);
  const uuid = textOf(destination, 'uuid');
  const attempt = await attemptAt(api, owner, uuid, session, other);
  return {
    '/v3/session/:session_id': session,
    '/v3/sessions/:session_id': session,
    '/v1/sessions/:session_id': session,
    '/v1/audit/sessions/:session_id': session,
    '/v1/onboardings/:token_id': textOf(onboarding, 'token_id'),
    '/v1/connections/:connection_id': textOf(connection, 'connection_id'),
    '/v3/webhook/destinations/:uuid': uuid,
    '/v1/webhook/destinations/:uuid': uuid,
    '/v3/webhook/destinations/:uuid/deliveries/:delivery_uuid': attempt,
    '/v3/session/:session_id/webhook/:delivery_uuid': attempt,
    '/v3/session/imports/:uuid': textOf(file, 'uuid'),
    '/v3/workflows/:settings_uuid': owner.workflows.user,
    '/v3/users/:vendor_data': vendorData,
    '/v3/businesses/:vendor_data': vendorData,
  };
}

/** The same of a person's organization. */
export async function holdingsOfPerson(person: Person): Promise<Holdings> {
  const key = await person.call('POST', `${person.application()}api-keys/`, {
    name: 'held',
    privileges: { sessions: 'read' },
  });
  const organization = '/auth/v2/organizations/me/:organization_id';
  return {
    [organization]: person.organizationId,
    [`${organization}/applications/:application_id`]: person.applicationId,
    [`${organization}/applications/:application_id/api-keys/:key_id`]: textOf(key, 'key_id'),
  };
}

async function attemptAt(api: TestApi, owner: Brand, uuid: string, session: string, other: Brand): Promise<string> {
  await mint(api, owner, session, other);
  await api.tenants.acrossTenants('relay', async (sql) => {
    const events = await sql.query<{ id: string }>('select event_id as id from event where application_id = $1', [
      owner.id,
    ]);
    await dispatchEvents(sql, { eventIds: events.map(({ id }) => id) });
  });
  const ledger = deliveryLedger(api.tenants, testSealer);
  const poster = {
    post: () =>
      Promise.resolve({ kind: 'failure', code: 'timeout', message: '', connectedIp: null, durationMs: 1 } as const),
    close: () => Promise.resolve(),
  };
  const tools = { poster, shareTokenKeys: KEYS, mediaUrl: () => '', docsUrl: '' };
  for (const claimed of (await ledger.claimDue(100)).claimed)
    await ledger.record(await attemptDelivery(claimed, tools));
  const log = await api.call(owner, 'GET', `/v3/webhook/destinations/${uuid}/deliveries/`);
  const [attempt] = log.body['results'] as { uuid: string }[];
  if (attempt === undefined) throw new Error('an attempt was made');
  return attempt.uuid;
}

/**
 * The path of a route with these ids in it.
 *
 * @param instead an id for one of its parameters, by the parameter's path
 * @throws {Error} when nobody says how to make what a parameter names
 */
export function pathWith(url: string, held: Holdings, instead: Holdings = {}): string {
  let path = '';
  let place = '';
  for (const part of url.split('/').slice(1)) {
    place += `/${part}`;
    const id = instead[place] ?? held[place];
    if (part.startsWith(':') && id === undefined) throw new Error(`say in holdings.ts how to make a ${place}`);
    path += `/${part.startsWith(':') ? encodeURIComponent(id ?? '') : part}`;
  }
  return path;
}

/** The parameters of a route, each as its path up to it. */
export function placesIn(url: string): string[] {
  const parts = url.split('/');
  return parts.flatMap((part, index) => (part.startsWith(':') ? [parts.slice(0, index + 1).join('/')] : []));
}
