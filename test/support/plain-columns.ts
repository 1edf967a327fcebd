import type { CanaryKind } from './canaries.ts';

/** What is stored plainly, where, and why: nothing else may be. */
export const PLAIN_COLUMNS: Readonly<
  Partial<Record<CanaryKind, { readonly why: string; readonly columns: readonly string[] }>>
> = {
  vendor_data: {
    why: 'the customer’s id at the brand; sessions and entities are found and joined by it',
    columns: ['session.vendor_data', 'entity.vendor_data', 'acknowledgement.vendor_data'],
  },
  external_id: {
    why: 'the record’s id at the brand; it makes a repeated take-in the same session, and people are linked by it',
    columns: ['session.external_id', 'session_person.reference'],
  },
  person_reference: {
    why: 'the id of a person’s session; people are linked by it',
    columns: ['session_person.reference'],
  },
  document_expiry: {
    why: 'a date without a person; imports ask for it',
    columns: ['session.document_expires_on'],
  },
  name_of_ours: {
    why: 'what a customer of ours calls itself and its applications, and says of them in public',
    columns: [
      'organization.name',
      'application.name',
      'application.description',
      'application.website_url',
      'application.redirect_uris',
      'api_key.name',
    ],
  },
  label: {
    why: 'how a brand calls its own settings',
    columns: ['webhook_destination.label', 'verification_workflow.label', 'verification_workflow_version.label'],
  },
  agreement: {
    why: 'what two companies agreed on, without its signer',
    columns: ['connection_agreement.reference', 'connection_agreement.legal_basis', 'connection_agreement.purpose'],
  },
  receiver_url: {
    why: 'where a brand receives webhooks; it shows in its own log of them',
    columns: ['webhook_destination.url', 'delivery_attempt.request_url'],
  },
  provider: { why: 'the company that verified the rows of a file', columns: ['session_import.provider'] },
  idempotency_key: { why: 'made up by the caller, of no meaning', columns: ['idempotency_key.key'] },
};
