import type { FastifyInstance } from 'fastify';
import { isUuid } from '../../domain/ids.ts';
import { knownDocumentCode } from '../../domain/session-facts.ts';
import { parseStatus } from '../../domain/session-status.ts';
import { listSessions, partsOfSessions, type SessionFilter } from '../../postgres/session-list.ts';
import type { SearchField } from '../../sharing/ports.ts';
import { ROW_CATEGORIES, sessionRowsOf } from '../../sharing/session-row-view.ts';
import type { AppDeps } from '../app.ts';
import { callerOf } from '../auth.ts';
import { pageOf } from '../paging.ts';
import { parseQuery } from '../requests.ts';
import { sessionListContract, sessionListQuery, type SessionListQuery } from '../schemas/session-list.ts';

/** Listing and searching sessions. */
export function sessionListRoutes(app: FastifyInstance, { tenants, style }: AppDeps): void {
  app.route({
    method: 'GET',
    url: '/v3/sessions/',
    config: { needs: { resource: 'sessions', access: 'read' }, contract: sessionListContract },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const query = parseQuery(sessionListQuery, request);
      const found = await tenants.withTenant(applicationId, async (tx, sql) => {
        const filter = filterOf(query, (field, text) => tx.blindIndex.term(applicationId, field, text));
        const { count, rows } = await listSessions(sql, applicationId, filter, query);
        const ofKind = (kind: 'user' | 'business') => ({
          sessionIds: rows.filter((row) => row.kind === kind).map(({ sessionId }) => sessionId),
          categories: ROW_CATEGORIES[kind],
        });
        const parts = await partsOfSessions(sql, applicationId, { user: ofKind('user'), business: ofKind('business') });
        return { count, rows, parts, sealer: tx.sealer };
      });
      const items = sessionRowsOf(found.rows, found.parts, found.sealer, style);
      return pageOf(request, query, { count: found.count, items });
    },
  });
}

/** Nothing has this status. */
const NOTHING: Pick<SessionFilter, 'statuses'> = { statuses: [] };

function filterOf(query: SessionListQuery, term: (field: SearchField, text: string) => Buffer): SessionFilter {
  const { organization_name: companies, screened_full_name: screened, document_name: documentName } = query;
  const kinds = query.session_kind ?? ['user'];
  const search = query.search?.trim();
  const types = query.session_type;
  const terms = [
    ...(companies === undefined ? [] : [companies.map((name) => term('name', name))]),
    ...(screened === undefined ? [] : [[term('name', screened)]]),
  ];
  return {
    kinds,
    statuses: query.status?.flatMap((status) => parseStatus(status) ?? []),
    vendorData: query.vendor_data,
    workflowIds: query.workflow_id?.map((id) => id.toLowerCase()).filter(isUuid),
    createdFrom: query.date_from,
    createdTo: query.date_to,
    countries: query.country?.map((country) => country.toUpperCase()),
    documentTypes: bothOf(query.document_type, documentName === undefined ? undefined : codesOf(documentName)),
    warnings: query.warning,
    sessionTypes: types?.includes('ALL') === true ? undefined : types,
    entityId: query.didit_internal_id,
    startedInReview: query.status_initialized_as_in_review,
    personInReview: query.is_kyc_to_be_reviewed,
    category: screened === undefined ? undefined : 'aml_screenings',
    terms: terms.length === 0 ? undefined : terms,
    search: search === undefined ? undefined : { text: search, terms: searchTerms(search, term) },
    ...(companies !== undefined && (kinds.includes('business') ? { kinds: ['business'] } : NOTHING)),
    ...((query.region ?? query.api_service ?? query.euuid) !== undefined && NOTHING),
  };
}

function searchTerms(text: string, term: (field: SearchField, text: string) => Buffer): Buffer[] {
  if (text.includes('@')) return [term('email', text)];
  return [term('name', text), term('document_number', text)];
}

function codesOf(name: string): string[] {
  const code = knownDocumentCode(name);
  return code === null ? [] : [code];
}

function bothOf(left: readonly string[] | undefined, right: readonly string[] | undefined) {
  return left !== undefined && right !== undefined ? left.filter((one) => right.includes(one)) : (left ?? right);
}
