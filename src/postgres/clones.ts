import { SEARCHED_CATEGORIES } from '../domain/session-facts.ts';
import type { CloneOrder, PersonLink, SealedCheck, SessionStore } from '../sharing/ports.ts';
import { moveKeysToClones } from './data-keys.ts';
import { insertSessions, SESSION_RECORD } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

const PAIRS = 'unnest($1::uuid[], $2::uuid[]) as pair(source_id, clone_id)';

/** Copies keys, sealed checks, files and person links as they are; `kyc_session_id` then points to the people's clones. */
export async function cloneChecks(tx: Transaction, order: CloneOrder): ReturnType<SessionStore['cloneChecks']> {
  const main = order.sources[0]?.to.sessionId;
  const [complete, checks, people, media] = await Promise.all([
    // First: the checks are read with it.
    moveKeysToClones(tx, order),
    tx.query<SealedCheck & { main: boolean; sessionId: string }>(
      `insert into session_check (session_id, application_id, category, position, payload)
       select pair.clone_id, $3::uuid, c.category, c.position, c.payload
       from ${PAIRS} join session_check c on c.session_id = pair.source_id
       returning session_id = $4 as main, session_id as "sessionId", category, position,
         case when session_id = $4 or category = any ($5) then with_key(session_id, payload) end as payload`,
      [...pairs(order), order.partnerId, main, SEARCHED_CATEGORIES],
    ),
    tx.query<PersonLink & { main: boolean }>(
      `with pair as (select * from ${PAIRS})
       insert into session_person (session_id, application_id, category, position, pointer, person_session_id)
       select pair.clone_id, $3::uuid, l.category, l.position, l.pointer, person.clone_id
       from pair join session_person_found l on l.session_id = pair.source_id
       left join pair person on person.source_id = l.person_session_id
       returning session_id = $4 as main, category, position, pointer, reference, person_session_id as "personSessionId"`,
      [...pairs(order), order.partnerId, main],
    ),
    tx.query<{ main: boolean; ready: boolean; mediaId: string }>(
      `insert into session_media (session_id, application_id, media_id, object_key, content_type, byte_length)
       select pair.clone_id, $3::uuid, m.media_id, m.object_key, m.content_type, m.byte_length
       from ${PAIRS} join session_media m on m.session_id = pair.source_id
       returning session_id = $4 as main, object_key is not null as ready, media_id as "mediaId"`,
      [...pairs(order), order.partnerId, main],
    ),
  ]);
  return {
    complete,
    checks: checks.filter((row) => row.main).sort((a, b) => a.position - b.position),
    people: people.filter((row) => row.main),
    mediaIds: media.filter((row) => row.main && row.ready).map(({ mediaId }) => mediaId),
    searchable: checks.filter((row) => SEARCHED_CATEGORIES.includes(row.category)),
  };
}

/** Writes the clones' rows with their numbers, and where they came from, over every hop. */
export function insertClones(tx: Transaction, order: CloneOrder): void {
  tx.send(insertSessions('r.number', `jsonb_to_recordset($1::jsonb) as r(${SESSION_RECORD})`), [
    JSON.stringify(order.sources.map(({ to }) => to)),
  ]);
  tx.send(
    `with pair as (select * from ${PAIRS})
     insert into session_provenance
       (session_id, application_id, hop, source_session_id, source_application_id, token_id, imported_at)
     select pair.clone_id, $3::uuid, 1, s.session_id, s.application_id, $4::uuid, handoff_now()
     from pair join session s on s.session_id = pair.source_id
     union all
     select pair.clone_id, $3::uuid, p.hop + 1, p.source_session_id, p.source_application_id, p.token_id, p.imported_at
     from pair join session_provenance p on p.session_id = pair.source_id`,
    [...pairs(order), order.partnerId, order.tokenId],
  );
}

function pairs(order: CloneOrder): [string[], string[]] {
  return [order.sources.map(({ from }) => from.sessionId), order.sources.map(({ to }) => to.sessionId)];
}
