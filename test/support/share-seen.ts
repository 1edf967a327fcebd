import { Refusal } from '../../src/domain/failures.ts';
import type { LabBrand, ShareLab } from './share-lab.ts';

/** Everything that one share left in the database, ids named by their roles. */
export interface ShareSeen {
  readonly token: string;
  readonly onboarding: string | null;
  readonly acknowledgements: readonly string[];
  readonly events: readonly string[];
  readonly imports: readonly string[];
  readonly people: readonly string[];
  readonly steps: readonly string[];
  /** What one more import by this token is answered with. */
  readonly afterwards: string;
  /** Rules that hold for every share at any time; what breaks one is named here. */
  readonly broken: readonly string[];
}

interface Row {
  minted: boolean;
  closed_as: string | null;
  closed_reason: string | null;
  redeemed_session: string | null;
  released: boolean | null;
  status: string | null;
  reason: string | null;
  ended: boolean | null;
  imported_session: string | null;
  sent: boolean;
  acknowledgements: string[];
  events: { application: string; type: string; session: string | null }[];
  steps: string[];
  imports: { id: string; parent: string | null; status: string; numbered: boolean; named: boolean }[];
  links: { pointer: string; to: string | null }[];
}

const QUERY = `
  select t.token_id is not null as minted, t.closed_as, t.closed_reason, r.session_id as redeemed_session, r.released_at is not null as released,
    o.status, o.reason, o.ended_at is not null as ended, o.imported_session_id as imported_session,
    -- An automatic import is faster than the notice of it.
    exists (select 1 from event where token_id = k.id and type = 'share.received')
      or coalesce(o.acceptance = 'automatic' and o.status = 'imported', false) as sent,
    array(select state from acknowledgement where token_id = k.id order by 1) as acknowledgements,
    coalesce((select json_agg(json_build_object('application', application_id, 'type', type, 'session', session_id))
      from event where token_id = k.id and sequence is not null), '[]') as events,
    array(select step || ': ' || coalesce(result, 'under way') from onboarding_step where token_id = k.id order by 1) as steps,
    coalesce((select json_agg(json_build_object('id', s.session_id, 'parent', s.parent_import, 'status', s.status,
        'numbered', s.session_number > 0, 'named', s.vendor_data is null or exists (select 1 from entity e
          where e.application_id = s.application_id and e.vendor_data = s.vendor_data and e.session_kind = s.session_kind)))
      from session s join session_provenance p on p.session_id = s.session_id and p.hop = 1
      where p.token_id = k.id), '[]') as imports,
    coalesce((select json_agg(json_build_object('pointer', l.pointer, 'to', l.person_session_id) order by l.pointer)
      from session_person_found l where l.session_id = r.session_id), '[]') as links
  from (select $1::uuid as id) k
  left join share_token t on t.token_id = k.id
  left join redemption r on r.token_id = k.id
  left join onboarding o on o.token_id = k.id`;

/** Reads a share's traces, judges them by the rules, and tries its token once more. */
export async function shareSeen(
  lab: Pick<ShareLab, 'rows' | 'redeem'>,
  { tokenId, issuer, partner }: { tokenId: string; issuer: LabBrand; partner: LabBrand },
): Promise<ShareSeen> {
  const [row] = await lab.rows<Row>(QUERY, [tokenId]);
  if (row === undefined) throw new Error('the query has always one row');
  const role = (id: string) => (id === issuer.id ? 'issuer' : id === partner.id ? 'partner' : 'somebody else');
  return {
    token:
      row.closed_as === null
        ? row.redeemed_session === null
          ? 'open'
          : 'redeemed'
        : `${row.closed_as}: ${row.closed_reason}`,
    onboarding: row.status === null ? null : `${row.status}: ${row.reason}`,
    acknowledgements: row.acknowledgements,
    events: row.events.map(({ application, type }) => `${role(application)} ${type}`).sort(),
    imports: row.imports.map(({ parent, status }) => `${parent === null ? 'main' : 'person'} ${status}`).sort(),
    people: row.links.map(({ to }) => (to === null ? 'nobody' : 'a clone')).sort(),
    steps: row.steps,
    broken: brokenRules(row, role),
    afterwards: await importAgain(lab, tokenId, partner),
  };
}

function brokenRules(row: Row, role: (id: string) => string): string[] {
  const broken: string[] = [];
  const rule = (text: string, holds: boolean) => {
    if (!holds) broken.push(text);
  };
  const redeemed = row.redeemed_session !== null;
  const closed = row.closed_as !== null;
  const main = row.imports.filter(({ parent }) => parent === null);
  rule('a token is redeemed or closed, never both', !(redeemed && closed));
  rule(
    'an import lives as long as its redemption is not released',
    main.length === (redeemed && !row.released ? 1 : 0),
  );
  rule(
    'the import is the redemption’s',
    main.every(({ id }) => id === row.redeemed_session),
  );
  rule(
    'a person’s clone names its business',
    row.imports.every(({ parent }) => parent === null || parent === row.redeemed_session),
  );
  rule(
    'clones have numbers and entities',
    row.imports.every(({ numbered, named }) => numbered && named),
  );
  rule(
    'links lead to clones',
    row.links.every(({ to }) => to === null || row.imports.some(({ id, parent }) => id === to && parent !== null)),
  );
  if (row.status !== null) {
    rule('an onboarding ends with its token', !row.minted || row.ended === (redeemed || closed));
    rule('a redeemed onboarding is imported', (row.status === 'imported') === redeemed);
    rule('a closed onboarding says how', !closed || row.status === row.closed_as);
    rule('it names its import', row.imported_session === row.redeemed_session);
  }
  rule(
    'an unspent acknowledgement needs an open token',
    !row.acknowledgements.includes('unspent') || !(redeemed || closed),
  );
  const endings = row.events.filter(
    ({ type }) => type.startsWith('share.') && !['share.minted', 'share.received'].includes(type),
  );
  const unminted = !row.minted && row.ended === true ? row.status : null;
  const ending = redeemed ? 'imported' : (row.closed_as ?? unminted);
  const told = endings.map(({ application, type }) => `${role(application)} ${type}`).sort();
  const expected =
    ending === null ? [] : ['issuer', ...(row.sent ? ['partner'] : [])].map((side) => `${side} share.${ending}`);
  rule(`the ending is told once to each side: ${told.join()} for ${expected.join()}`, told.join() === expected.join());
  const updates = row.events.filter(({ type }) => type === 'status.updated');
  rule('status.updated goes out once for an import', updates.length === (redeemed ? 1 : 0));
  rule(
    'it is the partner’s own session',
    updates.every(({ application, session }) => role(application) === 'partner' && session === row.redeemed_session),
  );
  return broken;
}

async function importAgain(lab: Pick<ShareLab, 'redeem'>, tokenId: string, partner: LabBrand): Promise<string> {
  try {
    await lab.redeem(tokenId, {}, partner);
    return 'imported now';
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}
