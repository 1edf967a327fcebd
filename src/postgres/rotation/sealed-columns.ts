import { addressContext } from '../../accounts/addresses.ts';
import { importSeal } from '../../sharing/import-file.ts';
import type { SealContext } from '../../sharing/ports.ts';
import { signerContext } from '../connections.ts';
import { commentContext, contentContext } from '../entities.ts';
import { sealContextOfEvent } from '../events.ts';
import { ingestSecretContext } from '../ingest-secrets.ts';
import { reasonContext } from '../onboardings.ts';
import { replyContext } from '../record-attempt.ts';
import { signingKeyContext } from '../signing-keys.ts';
import { webhookSecretContext } from '../webhook-secrets.ts';

/** The setting that holds a ring of key-encryption keys. */
export type RingName = 'CONTENT_ENCRYPTION_KEYS' | 'KEY_ENCRYPTION_KEYS';

/** A row of a {@link SealedColumn}, as far as what is sealed is bound to it. */
export interface SealedRow {
  /** Its primary key, as text. */
  readonly id: readonly string[];
  /** Empty where the row is of no application. */
  readonly applicationId: string;
  /** What else it is bound to; see {@link SealedColumn.subject}. */
  readonly subject: string | null;
  readonly sealed: Buffer;
}

/** A column that is sealed, or holds data keys that are wrapped, by a key of a ring. */
export interface SealedColumn {
  readonly table: string;
  readonly column: string;
  readonly ring: RingName;
  /** Whether it holds wrapped data keys: content that is sealed by those needs no sealing anew. */
  readonly holdsDataKeys?: true;
  /** Whether no release ever stored it plain. */
  readonly neverPlain?: true;
  /** Primary key: each column with its SQL type. */
  readonly key: Readonly<Record<string, 'uuid' | 'int' | 'text'>>;
  /** SQL of the application, and of {@link SealedRow.subject}, over the table's alias `t` and what `join` brings. */
  readonly applicationId?: string;
  readonly subject?: string;
  readonly join?: string;
  /** SQL of the id that people know the row by; its primary key otherwise. */
  readonly named?: string;
  readonly context: (row: Omit<SealedRow, 'sealed'>) => SealContext;
}

const first = ({ id }: Pick<SealedRow, 'id'>): string => id[0] ?? '';
const last = ({ id }: Pick<SealedRow, 'id'>): string => id.at(-1) ?? '';
const CONTENT = 'CONTENT_ENCRYPTION_KEYS';
const SECRETS = 'KEY_ENCRYPTION_KEYS';

/** What a wrapped data key is bound to: its application, and the session that it was made for. */
const dataKeyContext = ({ applicationId, subject }: Pick<SealedRow, 'applicationId' | 'subject'>): SealContext => ({
  applicationId,
  sessionId: subject ?? '',
  category: 'data_key',
  position: 0,
});

/**
 * Every column that a ring's key seals or wraps: what is missing here is lost when a key leaves its ring. Keys of tokens
 * come before those of sessions, which imports make of them.
 */
export const SEALED_COLUMNS: readonly SealedColumn[] = [
  {
    table: 'token_key',
    column: 'wrapped',
    ring: CONTENT,
    holdsDataKeys: true,
    neverPlain: true,
    key: { token_id: 'uuid', session_id: 'uuid' },
    applicationId: 'token.partner_id',
    subject: 't.key_id',
    join: 'join share_token token on token.token_id = t.token_id',
    context: dataKeyContext,
  },
  {
    table: 'session_key',
    column: 'wrapped',
    ring: CONTENT,
    holdsDataKeys: true,
    neverPlain: true,
    key: { session_id: 'uuid' },
    subject: 't.key_id',
    context: dataKeyContext,
  },
  {
    table: 'event_payload',
    column: 'payload',
    ring: CONTENT,
    key: { event_id: 'uuid' },
    subject: 'event.session_id',
    join: 'join event on event.event_id = t.event_id',
    context: (row) =>
      sealContextOfEvent({ applicationId: row.applicationId, sessionId: row.subject, eventId: first(row) }),
  },
  {
    table: 'entity',
    column: 'profile',
    ring: CONTENT,
    key: { entity_id: 'uuid' },
    context: (row) => contentContext(row.applicationId, first(row)),
  },
  {
    table: 'entity_comment',
    column: 'payload',
    ring: CONTENT,
    key: { comment_id: 'uuid' },
    context: (row) => commentContext(row.applicationId, first(row)),
  },
  {
    table: 'acknowledgement',
    column: 'reason',
    ring: CONTENT,
    key: { acknowledgement_id: 'uuid' },
    applicationId: 't.partner_id',
    context: (row) => reasonContext(row.applicationId, first(row)),
  },
  {
    table: 'connection_agreement',
    column: 'signer',
    ring: CONTENT,
    key: { agreement_id: 'uuid' },
    context: (row) => signerContext(row.applicationId, first(row)),
  },
  {
    table: 'delivery_attempt',
    column: 'response_head',
    ring: CONTENT,
    key: { attempt_id: 'uuid' },
    context: (row) => replyContext(row.applicationId, first(row)),
  },
  {
    table: 'session_import',
    column: 'source_filename',
    ring: CONTENT,
    key: { import_id: 'uuid' },
    context: (row) => importSeal(row.applicationId, first(row), 'import_filename'),
  },
  {
    table: 'session_import_part',
    column: 'payload',
    ring: CONTENT,
    key: { import_id: 'uuid', position: 'int' },
    context: (row) => importSeal(row.applicationId, first(row), 'import_part', Number(last(row))),
  },
  {
    table: 'session_import_error',
    column: 'payload',
    ring: CONTENT,
    key: { import_id: 'uuid', row_number: 'int' },
    context: (row) => importSeal(row.applicationId, first(row), 'import_error', Number(last(row))),
  },
  {
    table: 'account',
    column: 'email',
    ring: CONTENT,
    key: { account_id: 'uuid' },
    applicationId: `''`,
    context: (row) => addressContext(first(row)),
  },
  {
    table: 'webhook_secret',
    column: 'sealed',
    ring: SECRETS,
    key: { secret_id: 'uuid' },
    subject: 't.destination_id',
    named: 't.destination_id',
    context: (row) => webhookSecretContext(row.applicationId, row.subject ?? ''),
  },
  ...(['sealed', 'previous'] as const).map((column): SealedColumn => ({
    table: 'ingest_secret',
    column,
    ring: SECRETS,
    key: { application_id: 'uuid' },
    context: (row) => ingestSecretContext(row.applicationId),
  })),
  {
    table: 'signing_key',
    column: 'sealed',
    ring: SECRETS,
    neverPlain: true,
    key: { kid: 'text' },
    applicationId: `''`,
    context: (row) => signingKeyContext(first(row)),
  },
];
