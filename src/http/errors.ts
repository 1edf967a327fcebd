import type { FastifyError } from 'fastify';
import { FAILURES, Refusal, type FailureCode } from '../domain/failures.ts';
import { MediaStoreUnavailable } from '../media/ports.ts';
import { isDatabaseOutage } from '../postgres/outage.ts';
import { DataKeyMissing } from '../sharing/data-key-missing.ts';
import { KeyNotWrapped } from '../sharing/share-keys.ts';

/** A request that cannot be read at all, so that no field of it can be named: 400 `invalid_request`. */
export class UnreadableRequest extends Error {
  override readonly name = 'UnreadableRequest';
}

/** An answer that is not a success, as it goes out. */
export interface ErrorReply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  /** True when it is our own fault, so that it has to be logged. */
  readonly fault: boolean;
}

/** The body of a failure: `{"detail": "<sentence>", "code": "<code>"}` (contract rows 2 to 4). */
export function errorReply(code: FailureCode, detail: string = FAILURES[code].detail): ErrorReply {
  return { status: FAILURES[code].status, body: { detail, code }, fault: false };
}

/** What is mended by another try, or by an operator. */
const OUT_OF_ORDER = [MediaStoreUnavailable, KeyNotWrapped, DataKeyMissing];

/** The one mapping of whatever was thrown to an answer. It tells nothing of a fault but its request id. */
export function replyTo(error: unknown): ErrorReply {
  if (error instanceof Refusal) return refusalReply(error);
  if (error instanceof UnreadableRequest) return errorReply('invalid_request', error.message);
  if (isDatabaseOutage(error) || OUT_OF_ORDER.some((kind) => error instanceof kind)) {
    return { ...errorReply('service_unavailable'), fault: true };
  }
  const framework = frameworkReply(error as Partial<FastifyError>);
  return framework ?? { ...errorReply('internal_error'), fault: true };
}

function refusalReply({ code, field, fields, extra, message: detail }: Refusal): ErrorReply {
  const { status } = FAILURES[code];
  const answer = (body: Record<string, unknown>): ErrorReply => ({ status, body, fault: false });
  if (fields !== undefined) return answer(fieldsBody(fields));
  // Didit's shape for this one refusal.
  if (code === 'session_not_finished') return answer({ detail: [detail], code });
  if (status === 400 && field !== undefined) return answer(fieldsBody({ [field]: [detail] }));
  return answer({ detail, code, ...(field !== undefined && { field }), ...extra });
}

function fieldsBody(fields: Readonly<Record<string, readonly string[]>>): Record<string, unknown> {
  // A field of that name would hide our own member.
  const { code: hidden, ...shown } = fields;
  return {
    ...shown,
    ...(hidden !== undefined && { detail: hidden.map((text) => `code: ${text}`) }),
    code: 'invalid_request',
  };
}

const FRAMEWORK_REPLIES: Readonly<Record<string, ErrorReply>> = {
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: errorReply(
    'invalid_request',
    'Content-Length differs from the size of the body.',
  ),
  FST_ERR_BAD_URL: errorReply('not_found'),
  FST_ERR_MAX_PARAM_LENGTH: errorReply('not_found'),
};

function frameworkReply({ code, statusCode }: Partial<FastifyError>): ErrorReply | null {
  const known =
    typeof code === 'string' && Object.hasOwn(FRAMEWORK_REPLIES, code) ? FRAMEWORK_REPLIES[code] : undefined;
  if (known !== undefined) return known;
  // Whatever else the framework finds wrong with a request is the request's fault.
  const isRequestProblem = typeof code === 'string' && code.startsWith('FST_ERR_') && (statusCode ?? 500) < 500;
  return isRequestProblem ? errorReply('invalid_request', 'The request could not be read. Send it as HTTP/1.1.') : null;
}
