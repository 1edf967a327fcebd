/** HTTP statuses that a refusal can answer with. */
type RefusalStatus = 400 | 401 | 403 | 404 | 408 | 409 | 413 | 415 | 422 | 429 | 500 | 503;

interface FailureKind {
  /** HTTP status of the refusal. */
  readonly status: RefusalStatus;
  /** Sentence for a person: what is wrong and how to mend it. Holds no datum of the request. */
  readonly detail: string;
  /** True when a partner can mend the cause, so that an onboarding waits again (`semantics.md`, "Import refusals inside a run"). */
  readonly mendable?: true;
}

/**
 * Every failure code of the product. It maps once to an HTTP status (here) and once to `ApplicationFailure.type`
 * (`activities/translate-failure.ts`, the code itself). Code branches on the code, never on a message.
 */
export const FAILURES = {
  // Requests and keys
  invalid_request: { status: 400, detail: 'The request has a field that cannot be accepted.' },
  authentication_failed: { status: 401, detail: 'Authentication credentials were not provided or are invalid.' },
  permission_denied: { status: 403, detail: 'You do not have permission to perform this action.' },
  not_found: { status: 404, detail: 'Not found.' },
  method_not_allowed: { status: 404, detail: 'Not found: this path does not answer that method.' },
  session_not_found: { status: 404, detail: 'Not found.' },
  request_timeout: {
    status: 408,
    detail: 'The request body did not arrive in time. Send it again over a faster connection.',
  },
  payload_too_large: { status: 413, detail: 'The request body is larger than this route accepts.' },
  unsupported_media_type: {
    status: 415,
    detail: 'Send the body as application/json, or in the type that this route documents.',
  },
  rate_limited: { status: 429, detail: 'Request was throttled. Try again after the time in Retry-After.' },
  internal_error: { status: 500, detail: 'The request could not be completed. Quote the X-Request-Id to support.' },
  service_unavailable: { status: 503, detail: 'The service is temporarily unavailable. Try again shortly.' },
  idempotency_key_reused: {
    status: 422,
    detail: 'This Idempotency-Key was used with another request. Send a new key, or the same request again.',
  },
  idempotency_in_progress: {
    status: 409,
    detail: 'A request with this Idempotency-Key is still running. Try again shortly.',
  },
  resource_deleted: {
    status: 404,
    detail: 'The resource that this Idempotency-Key made has been deleted since; nothing was done again.',
  },

  // Accounts
  registration_closed: {
    status: 403,
    detail: 'Nobody can register here: this server has no mail server to send codes by. Ask its operator.',
  },
  one_time_code_invalid: {
    status: 400,
    detail: 'This code is wrong, used or too old, or was tried too often. Ask for a new one by resend-otp.',
  },
  invalid_credentials: {
    status: 401,
    detail: 'The e-mail address or the password is wrong, or the address is not verified yet.',
  },
  account_locked: {
    status: 429,
    detail: 'Too many logins with a wrong password. Try again after the time in Retry-After.',
  },

  // A session's life
  session_not_updatable: {
    status: 400,
    detail:
      'Only sessions with status Approved, Declined, In Review, Kyc Expired, Abandoned, Resubmitted can be updated. The current one is in `status`.',
  },

  // Mint
  session_not_finished: {
    status: 400,
    detail: 'Only finished sessions ("Approved", "Declined", "In Review") can be shared.',
  },
  connection_suspended: {
    status: 403,
    detail: 'The connection between the two applications is suspended. The side that suspended it has to lift it.',
    mendable: true,
  },
  application_deleted: { status: 403, detail: 'One of the two applications has been deleted.' },

  // Import
  share_token_invalid: { status: 401, detail: 'Invalid share token. Ask the issuer for a new one.' },
  share_token_not_for_this_application: {
    status: 403,
    detail: 'This share token is not intended for your application.',
  },
  share_token_expired: { status: 401, detail: 'Share token has expired. Ask the issuer for a new one.' },
  share_token_revoked: {
    status: 401,
    detail: 'This share token has been revoked, refused or closed. Ask the issuer for a new one.',
  },
  already_imported: {
    status: 403,
    detail: 'This session has already been imported into your application.',
    mendable: true,
  },
  source_session_gone: { status: 404, detail: 'The original session no longer exists.' },
  source_not_shareable: {
    status: 403,
    detail: 'The original session is no longer finished, so it cannot be imported.',
  },
  workflow_not_found: {
    status: 404,
    detail: 'The verification workflow in workflow_id does not exist in your application.',
    mendable: true,
  },
  workflow_kind_mismatch: {
    status: 400,
    detail:
      'This verification workflow is of the other kind: use a KYC workflow for a "user" token and a KYB workflow for a "business" token.',
    mendable: true,
  },
  workflow_required: {
    status: 400,
    detail:
      'This field is required: neither the connection nor your application has a default verification workflow of this kind.',
    mendable: true,
  },
  entity_blocked: {
    status: 403,
    detail: 'The user or business with this vendor_data, or a person of the business, is blocked in your application.',
    mendable: true,
  },

  // Onboardings and connections
  onboarding_ended: { status: 409, detail: 'This onboarding has ended; nothing was changed.' },
  onboarding_minting: {
    status: 409,
    detail: 'The share token of this onboarding is not minted yet. Try again when its status is past "minting".',
  },
  acceptance_mode: {
    status: 409,
    detail: 'This onboarding does not wait for an acknowledgement. Only a refusal (accept: false) can be given.',
  },
  acknowledgement_conflict: {
    status: 409,
    detail: 'Another acknowledgement of this onboarding is being carried out. Withdraw it with accept: false first.',
  },
  connection_exists: { status: 409, detail: 'A connection from this issuer to this partner exists already.' },
  connection_change_not_yours: {
    status: 403,
    detail: 'This field belongs to the other side of the connection, which alone can change it.',
  },
  external_id_conflict: {
    status: 409,
    detail: 'A session of the other kind was taken in under this external_id. Use another external_id.',
  },
  too_many_imports: {
    status: 409,
    detail: 'Ten imports of this application are open. Wait until one has ended, or cancel one.',
  },
  import_ended: { status: 409, detail: 'This import has ended; nothing was changed.' },
  unknown_onboarding: { status: 404, detail: 'Not found.' },

  // Files
  media_link_expired: { status: 403, detail: 'This link has expired. Read the session again for a fresh one.' },
  media_pending: { status: 404, detail: 'This file is still on its way. Try again after the time in Retry-After.' },

  // Webhooks
  destination_not_found: { status: 404, detail: 'Webhook destination not found.' },
  delivery_not_found: { status: 404, detail: 'Webhook delivery not found.' },
  delivery_content_deleted: {
    status: 409,
    detail:
      'What this delivery carried was deleted (with its session, or at the end of its retention), so it is not sent again.',
  },
  delivery_token_ended: {
    status: 409,
    detail:
      'The share token of this delivery can no longer be used, so it is not sent again. Ask the issuer for a new one.',
  },
  destination_disabled: {
    status: 409,
    detail: 'This webhook destination is disabled: enable it first, which also sends what was held for it.',
  },
  rotation_in_progress: {
    status: 409,
    detail:
      'Two secrets of this destination are live already. Wait until the previous one ends, or send grace_seconds: 0 to end it now.',
  },
  repair_in_progress: {
    status: 409,
    detail: 'Another recovery of this destination is running. Try again when it has answered.',
  },

  // Ingestion of Didit's webhooks
  ingest_signature_invalid: {
    status: 401,
    detail:
      'The signature does not match: set the secret of this Didit destination by PUT /v1/ingest/didit/, and send X-Signature-V2 or X-Signature.',
  },
  ingest_timestamp_rejected: {
    status: 401,
    detail:
      'The signed timestamp is more than 300 seconds from now, or X-Timestamp differs from it. Send the webhook again.',
  },
} as const satisfies Record<string, FailureKind>;

/** A stable failure code: what callers branch on. */
export type FailureCode = keyof typeof FAILURES;

/** Sentences for field errors, by field name: `{ "<field>": ["<sentence>", …] }` (contract row 3). */
export type FieldErrors = Readonly<Record<string, readonly string[]>>;

/** Extra members of a refusal's body. Only ids and enums: a refusal holds no personal datum. */
export type RefusalExtra = Readonly<Record<string, string>>;

/**
 * A verb's "no": the caller's mistake or a rule of the business, never a fault of ours.
 * The HTTP layer answers it with its status; an activity turns it into a non-retryable `ApplicationFailure`.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: FailureCode;
  /** The field to mend, when the refusal is about one. */
  readonly field: string | undefined;
  readonly fields: FieldErrors | undefined;
  readonly extra: RefusalExtra | undefined;

  /** @param about `detail` is the sentence in place of the code's own, where it has to tell a number */
  constructor(
    code: FailureCode,
    about: { field?: string; fields?: FieldErrors; extra?: RefusalExtra; detail?: string } = {},
  ) {
    super(about.detail ?? FAILURES[code].detail);
    this.code = code;
    this.field = about.field ?? (about.fields === undefined ? undefined : Object.keys(about.fields)[0]);
    this.fields = about.fields;
    this.extra = about.extra;
  }
}

/** A refusal about one or more fields of the request: 400 `{"<field>": ["…"], "code": "invalid_request"}`. */
export function invalidFields(fields: FieldErrors): Refusal {
  return new Refusal('invalid_request', { fields });
}

/** Whether an import that was refused with this code can succeed after the partner mends something. */
export function isMendable(code: FailureCode): boolean {
  return 'mendable' in FAILURES[code];
}

/** Whether a text is one of our failure codes, e.g. the `type` of an `ApplicationFailure`. */
export function isFailureCode(text: string | null | undefined): text is FailureCode {
  return typeof text === 'string' && Object.hasOwn(FAILURES, text);
}
