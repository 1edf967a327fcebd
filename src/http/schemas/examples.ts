/** Ids of the examples: one handoff from an issuer to a partner, told through all of them. */
export const EXAMPLE_IDS = {
  issuer: '0199a3c4-0a00-7a10-8a10-5e0c1d2a3b01',
  partner: '0199a3c4-0a00-7a10-8a10-5e0c1d2a3b02',
  session: '0199a3c4-1111-7aaa-8bbb-0123456789ab',
  importedSession: '0199a3c4-2222-7aaa-8bbb-0123456789ab',
  workflow: '0199a3c4-3333-7aaa-8bbb-0123456789ab',
  token: '0199a3c4-4444-7aaa-8bbb-0123456789ab',
  connection: '0199a3c4-5555-7aaa-8bbb-0123456789ab',
  destination: '0199a3c4-6666-7aaa-8bbb-0123456789ab',
  delivery: '0199a3c4-7777-7aaa-8bbb-0123456789ab',
  event: '0199a3c4-8888-7aaa-8bbb-0123456789ab',
  entity: '0199a3c4-9999-7aaa-8bbb-0123456789ab',
} as const;

/** A time of the examples. */
export const EXAMPLE_TIME = '2026-11-23T09:15:00.123456Z';

/** A share token of the examples: the form of one, signed by nobody. */
export const EXAMPLE_TOKEN = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzZXNzaW9uX2tpbmQiOiJ1c2VyIn0.c2lnbmF0dXJl';

/** The page of a list that holds one item. */
export function examplePage(item: object): object {
  return { count: 1, next: null, previous: null, results: [item] };
}

/** A decision of a `user` session, shortened to one check. */
export const EXAMPLE_DECISION = {
  session_id: EXAMPLE_IDS.session,
  session_kind: 'user',
  shared_from_session: null,
  session_number: 43762,
  session_url: null,
  status: 'Approved',
  environment: 'sandbox',
  workflow_id: EXAMPLE_IDS.workflow,
  features: ['ID_VERIFICATION'],
  vendor_data: 'customer-42',
  metadata: null,
  created_at: EXAMPLE_TIME,
  expires_at: null,
  id_verifications: [
    {
      status: 'Approved',
      document_type: 'Passport',
      first_name: 'Ada',
      last_name: 'Sample',
      date_of_birth: '1990-01-31',
      expiration_date: '2031-01-31',
      issuing_state: 'GBR',
    },
  ],
};

/** The same after its import. */
export const EXAMPLE_IMPORT = {
  ...EXAMPLE_DECISION,
  session_id: EXAMPLE_IDS.importedSession,
  shared_from_session: EXAMPLE_IDS.session,
  session_number: 17,
};
