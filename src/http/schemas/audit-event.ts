import { z } from 'zod';
import { ACTOR_KINDS, AUDIT_EVENT_TYPES, EVENT_TYPES } from '../../domain/events.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME } from './examples.ts';
import { time } from './fields.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** Who did something; another application's key or person is not named. */
export const auditActor = z.strictObject({
  kind: z.enum(ACTOR_KINDS),
  id: z.string().nullable().meta({ description: 'Id of the API key, person or run; `null` for the service itself.' }),
});

/** One event of the audit trail. */
export const auditEvent = z
  .strictObject({
    event_id: z.string(),
    type: z.enum([...EVENT_TYPES, ...AUDIT_EVENT_TYPES]),
    subject_id: z.string().meta({ description: 'What it is about: a session, a token, a destination …' }),
    session_id: z.string().nullable(),
    token_id: z.string().nullable(),
    key_id: z.string().nullable().meta({ description: 'The API key that was made, changed or revoked.' }),
    actor: auditActor,
    reason: z.string().nullable().meta({ description: 'A code.' }),
    request_id: z.string().nullable().meta({
      description: '`X-Request-Id` of the call that did it; `null` for a call of the other side.',
    }),
    sequence: z.int().nullable().meta({ description: 'As in the webhook; `null` for what no destination is told of.' }),
    digest: hash.nullable().meta({ description: 'Salted sha256 of the webhook’s payload.' }),
    before_sha256: hash.nullable().meta({ description: 'Salted sha256 of the state before.' }),
    after_sha256: hash.nullable().meta({ description: 'Salted sha256 of the state after.' }),
    created_at: time,
    place: z
      .strictObject({ position: z.int().positive(), row_sha256: hash, chain_sha256: hash, sealed_at: time })
      .nullable(),
  })
  .meta({ id: 'AuditEvent' });

const HASH = 'b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c';

export const EXAMPLE_AUDIT_EVENT = {
  event_id: EXAMPLE_IDS.event,
  type: 'share.minted',
  subject_id: EXAMPLE_IDS.session,
  session_id: EXAMPLE_IDS.session,
  token_id: EXAMPLE_IDS.token,
  key_id: null,
  actor: { kind: 'api_key', id: '2vQm4ZpXk8LrTn6B' },
  reason: null,
  request_id: '0199a3c4-aaaa-7aaa-8bbb-0123456789ab',
  sequence: 1,
  digest: HASH,
  before_sha256: null,
  after_sha256: HASH,
  created_at: EXAMPLE_TIME,
  place: { position: 42, row_sha256: HASH, chain_sha256: HASH, sealed_at: EXAMPLE_TIME },
};
