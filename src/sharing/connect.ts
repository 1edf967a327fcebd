import { invalidFields, Refusal } from '../domain/failures.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type { AgreementSignature, ConnectionSide, ConnectionStore, PartnerTerms } from './ports.ts';

/** What one side changes on a connection: the partner its terms, either its own suspension and signature. */
export interface ConnectionChange {
  readonly terms: PartnerTerms;
  readonly suspended?: boolean | undefined;
  readonly agreement?: AgreementSignature | undefined;
}

/** The fields of {@link PartnerTerms}, as requests name them. */
const TERM_FIELDS = {
  status: 'status',
  acceptance: 'acceptance',
  trustReview: 'trust_review',
  defaultWorkflows: 'default_workflows',
  vendorDataRule: 'vendor_data_rule',
} as const satisfies Record<keyof PartnerTerms, string>;

/**
 * The issuer proposes a connection to a partner: `POST /v1/connections/`.
 *
 * @returns the connection's id
 * @throws {Refusal} `invalid_request` on `partner_application_id`, `application_deleted`, `connection_exists`
 */
export async function proposeConnection(
  store: ConnectionStore,
  newId: () => string,
  proposal: {
    readonly issuerId: string;
    readonly partnerId: string;
    readonly agreement?: AgreementSignature | undefined;
  },
): Promise<string> {
  const { issuerId, partnerId, agreement } = proposal;
  if (partnerId === issuerId) throw wrongPartner('A connection needs two applications: name the partner.');
  const { issuer, partner } = await store.applications(issuerId, partnerId);
  if (issuer === null) throw new Error('an API key belongs to an application');
  if (partner === null) throw wrongPartner('This application does not exist.');
  if (partner.environment !== issuer.environment) {
    throw wrongPartner(
      `Your application is in ${issuer.environment} and this one in ${partner.environment}. Name an application of the same environment.`,
    );
  }
  if (issuer.deleted || partner.deleted) throw new Refusal('application_deleted');
  const connectionId = newId();
  const written = await store.insert({ connectionId, issuerId, partnerId, environment: issuer.environment });
  if (!written) throw new Refusal('connection_exists');
  if (agreement !== undefined) store.addAgreement(newId(), connectionId, issuerId, agreement);
  return connectionId;
}

/**
 * One side changes a connection: `PATCH /v1/connections/{connection_id}/`.
 *
 * @throws {Refusal} `not_found` for anybody but the two sides; `connection_change_not_yours` with the field when the
 *   issuer changes what is the partner's; `invalid_request` on a default workflow that is not the partner's own
 */
export async function changeConnection(
  store: ConnectionStore,
  newId: () => string,
  call: { readonly connectionId: string; readonly applicationId: string; readonly change: ConnectionChange },
): Promise<void> {
  const { connectionId, applicationId, change } = call;
  const connection = await store.lock(connectionId);
  const side = connection === null ? null : sideOf(connection, applicationId);
  if (side === null) throw new Refusal('not_found');
  const given = termFields(change.terms);
  const [first] = given;
  if (first !== undefined) {
    if (side !== 'partner') throw new Refusal('connection_change_not_yours', { field: first });
    const defaultWorkflows = await settleDefaults(store, applicationId, change.terms.defaultWorkflows ?? {});
    store.setTerms(connectionId, { ...change.terms, defaultWorkflows });
  }
  if (change.suspended !== undefined) store.setSuspended(connectionId, side, change.suspended);
  if (change.agreement !== undefined) store.addAgreement(newId(), connectionId, applicationId, change.agreement);
}

function sideOf(
  connection: { readonly issuerId: string; readonly partnerId: string },
  applicationId: string,
): ConnectionSide | null {
  if (connection.issuerId === applicationId) return 'issuer';
  return connection.partnerId === applicationId ? 'partner' : null;
}

function termFields(terms: PartnerTerms): string[] {
  return Object.entries(TERM_FIELDS).flatMap(([member, field]) =>
    terms[member as keyof PartnerTerms] === undefined ? [] : [field],
  );
}

type Defaults = NonNullable<PartnerTerms['defaultWorkflows']>;

/** Default workflows by their own ids, whichever of their versions was named. */
async function settleDefaults(store: ConnectionStore, applicationId: string, defaults: Defaults): Promise<Defaults> {
  const settled: { -readonly [Kind in keyof Defaults]: Defaults[Kind] } = { ...defaults };
  for (const kind of ['user', 'business'] as const satisfies readonly SessionKind[]) {
    const named = defaults[kind];
    if (typeof named !== 'string') continue;
    const found = await store.findWorkflow(applicationId, named);
    if (found?.kind !== kind) {
      const problem =
        found === null
          ? 'This verification workflow does not exist in your application.'
          : `This verification workflow is for ${found.kind} sessions: name one for ${kind} sessions.`;
      throw invalidFields({ [`default_workflows.${kind}`]: [problem] });
    }
    settled[kind] = found.workflowId;
  }
  return settled;
}

function wrongPartner(sentence: string): Refusal {
  return invalidFields({ partner_application_id: [sentence] });
}
