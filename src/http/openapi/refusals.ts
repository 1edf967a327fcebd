import { STATUS_CODES } from 'node:http';
import { FAILURES, invalidFields, Refusal, type FailureCode } from '../../domain/failures.ts';
import type { JsonObject } from '../../domain/json.ts';
import { replyTo } from '../errors.ts';
import { headersOfStatus } from './headers.ts';

/** The bodies of answers that are no success: a sentence, or sentences by field (contract rows 2 and 3). */
export const ERROR_SCHEMAS: Readonly<Record<string, JsonObject>> = {
  Error: {
    type: 'object',
    description: 'Why a request was refused. `code` is stable: branch on it; `detail` is for people.',
    properties: {
      detail: {
        description: 'What is wrong, and what to do.',
        anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
      },
      code: { type: 'string', enum: Object.keys(FAILURES) },
    },
    required: ['detail', 'code'],
  },
  FieldErrors: {
    type: 'object',
    description: 'What is wrong with each field of the request that is named.',
    properties: { code: { const: 'invalid_request' } },
    required: ['code'],
    additionalProperties: { type: 'array', items: { type: 'string' } },
  },
};

/** A field of a request, and what can be wrong with it. */
export interface WrongField {
  readonly field: string;
  readonly sentence: string;
}

/** Refusals of a request's one field, and which. */
const FIELD_OF: Partial<Record<FailureCode, string>> = {
  workflow_kind_mismatch: 'workflow_id',
  workflow_required: 'workflow_id',
};

/** Codes that many routes answer a status with: each set is a response that they share. */
const SHARED: readonly (readonly [FailureCode, ...FailureCode[]])[] = [
  ['authentication_failed'],
  ['permission_denied'],
  ['permission_denied', 'application_deleted'],
  ['request_timeout'],
  ['payload_too_large'],
  ['unsupported_media_type'],
  ['rate_limited'],
  ['internal_error'],
  ['service_unavailable'],
  ['idempotency_in_progress'],
  ['idempotency_key_reused'],
  ['not_found'],
  ['resource_deleted'],
];

/** A reference to the response that routes with these codes share, or null. */
export function sharedResponse(codes: readonly FailureCode[]): JsonObject | null {
  const name = codes.join('.');
  return SHARED.some((shared) => shared.join('.') === name) ? { $ref: `#/components/responses/${name}` } : null;
}

/** The shared responses. */
export function sharedResponses(): JsonObject {
  return Object.fromEntries(
    SHARED.map((codes): [string, JsonObject] => {
      const { status } = FAILURES[codes[0]];
      const description = STATUS_CODES[status] ?? '';
      return [codes.join('.'), { description, headers: headersOfStatus(status), content: refusalContent(codes, null) }];
    }),
  );
}

/** An example of each code, but of those that name fields of the request. */
export function refusalExamples(): JsonObject {
  const codes = (Object.keys(FAILURES) as FailureCode[]).filter((code) => code !== 'invalid_request');
  return Object.fromEntries(codes.map((code) => [code, { value: refusalExample(code, null) }]));
}

/** What an answer with one of these codes holds. */
export function refusalContent(codes: readonly FailureCode[], wrong: WrongField | null): JsonObject {
  const examples = codes.map((code): [string, JsonObject] => [
    code,
    code === 'invalid_request' ? { value: refusalExample(code, wrong) } : { $ref: `#/components/examples/${code}` },
  ]);
  return { 'application/json': { schema: refusalSchema(codes), examples: Object.fromEntries(examples) } };
}

/** The schema of a refusal with one of these codes. */
function refusalSchema(codes: readonly FailureCode[]): JsonObject {
  const coded: JsonObject = {
    allOf: [{ $ref: '#/components/schemas/Error' }, { properties: { code: { enum: [...codes] } } }],
  };
  const byField = codes.some((code) => FAILURES[code].status === 400);
  return byField ? { anyOf: [coded, { $ref: '#/components/schemas/FieldErrors' }] } : coded;
}

/** The answer with this code, as our own error mapper gives it. */
function refusalExample(code: FailureCode, wrong: WrongField | null): JsonObject {
  const field = FIELD_OF[code];
  const refusal =
    code === 'invalid_request' && wrong !== null
      ? invalidFields({ [wrong.field]: [wrong.sentence] })
      : new Refusal(code, field === undefined ? {} : { field });
  return replyTo(refusal).body as JsonObject;
}
