/** The groups that routes are documented in, in the order of the page, each with a sentence. */
export const TAGS = {
  Accounts: 'People who register and log in to provision.',
  Organizations: 'Organizations and their applications: each application is a tenant of its own.',
  'API keys': 'Keys of an application, each with the privileges that it is given.',
  Sessions: 'Verification sessions: making, taking in, reading, listing, reviewing and deleting them.',
  Sharing: 'The two calls of a share: minting a token for a finished session, and importing a session with it.',
  Onboardings: 'A whole handoff as one durable run: mint, deliver, import, notify.',
  Connections: 'Standing, one-way arrangements between an issuer and a partner.',
  'Session imports': 'Files of many sessions, taken in by a durable run.',
  Ingestion: 'Sessions that come as the webhooks of Didit itself.',
  Media: 'Images and files of a session, read through short-lived signed links.',
  'Verification workflows': 'Which checks a session of an application consists of.',
  Users: 'The people whom sessions are about.',
  Businesses: 'The companies that sessions are about.',
  Webhooks: 'Where events are sent, what was sent, and sending it again.',
  Audit: 'What happened, who did it, and the proof that it was not altered since.',
  Service: 'The service itself: its health and this documentation.',
} as const;

/** A group that routes are documented in. */
export type Tag = keyof typeof TAGS;
