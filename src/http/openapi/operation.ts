import { STATUS_CODES } from 'node:http';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import { errorBody } from '../schemas/errors.ts';
import { failuresOf, takesIdempotencyKey } from './failures.ts';
import type { SchemaWriter } from './json-schemas.ts';
import { refusalContent, sharedResponse, type WrongField } from './refusals.ts';
import { header, headersOfStatus } from './headers.ts';
import { pathParameters, type DocumentedRoute } from './routes.ts';

const parameter = (name: string): JsonObject => ({ $ref: `#/components/parameters/${name}` });

/** One route as an OpenAPI operation. */
export function operationOf(route: DocumentedRoute, schemas: SchemaWriter): JsonObject {
  const { contract } = route;
  const body = contract.body === undefined ? null : schemas.write(contract.body, 'input');
  const query = contract.query === undefined ? null : schemas.write(contract.query, 'input');
  const description = [contract.description, privilegeSentence(route)].filter((text) => text !== undefined);
  return {
    operationId: contract.operationId,
    tags: [contract.tag],
    summary: contract.summary,
    ...(description.length > 0 && { description: description.join('\n\n') }),
    security: securityOf(route),
    parameters: [
      ...pathParameters(route.url).map((name) => pathParameter(route, name, schemas)),
      ...(query === null ? [] : queryParameters(query)),
      ...Object.entries(contract.headers ?? {}).map(([name, schema]) =>
        parameterOf(name, 'header', schemas.write(schema, 'input'), !schema.safeParse(undefined).success),
      ),
      ...(takesIdempotencyKey(route) ? [parameter('IdempotencyKey')] : []),
      parameter('XRequestId'),
    ],
    ...(body !== null && { requestBody: requestBody(route, body) }),
    responses: responsesOf(route, wrongField(body) ?? wrongField(query), schemas),
  };
}

function securityOf({ needs }: DocumentedRoute): JsonObject[] {
  if (needs === 'public') return [];
  if (needs === 'account') return [{ AccessToken: [] }];
  return [{ ApiKey: privilegesOf(needs).map(({ resource, access }) => `${resource}:${access}`) }];
}

function privilegeSentence({ needs }: DocumentedRoute): string | undefined {
  if (needs === 'public' || needs === 'account') return undefined;
  const names = privilegesOf(needs).map(({ resource, access }) => `\`${resource}: ${access}\``);
  return `Needs the privilege ${names.join(' and ')}.`;
}

function privilegesOf(needs: Exclude<DocumentedRoute['needs'], string>) {
  return needs.also === undefined ? [needs] : [needs, needs.also];
}

function pathParameter(route: DocumentedRoute, name: string, schemas: SchemaWriter): JsonObject {
  const own = route.contract.params?.[name];
  const schema: JsonObject = own === undefined ? { type: 'string', format: 'uuid' } : schemas.write(own, 'input');
  return { name, in: 'path', required: true, schema };
}

function queryParameters({ properties, required }: JsonObject): JsonObject[] {
  const names = (required ?? []) as string[];
  return Object.entries(properties as Record<string, JsonObject>).map(([name, schema]) =>
    parameterOf(name, 'query', schema, names.includes(name)),
  );
}

function parameterOf(
  name: string,
  place: 'query' | 'header',
  { description, ...schema }: JsonObject,
  required: boolean,
): JsonObject {
  return { name, in: place, required, ...(description !== undefined && { description }), schema };
}

function requestBody({ contract }: DocumentedRoute, schema: JsonObject): JsonObject {
  const example = contract.examples?.body;
  return {
    required: ((schema['required'] ?? []) as string[]).length > 0,
    content: contentOf(
      contract.bodyType,
      { schema, ...(example !== undefined && { example: example as JsonValue }) },
      contract.otherBodyTypes,
      contract.examples?.byType,
    ),
  };
}

/** What a body holds, by media type; in the other types it is text or bytes. */
function contentOf(
  type: string | undefined,
  content: JsonObject,
  others: readonly string[] = [],
  examples: Readonly<Record<string, string>> = {},
): JsonObject {
  const otherContent = (other: string): JsonObject => {
    const example = examples[other];
    if (example === undefined) return { schema: { type: 'string', format: 'binary' } };
    return { schema: { type: 'string' }, example };
  };
  return {
    [type ?? 'application/json']: content,
    ...Object.fromEntries(others.map((other) => [other, otherContent(other)])),
  };
}

function responsesOf(route: DocumentedRoute, wrong: WrongField | null, schemas: SchemaWriter): JsonObject {
  const { replies, examples } = route.contract;
  const failures = failuresOf(route);
  const own = Object.entries(replies).flatMap(([status, schema]) => (schema === errorBody ? [] : [Number(status)]));
  const statuses = [...new Set([...own, ...failures.keys()])].sort((a, b) => a - b);
  return Object.fromEntries(
    statuses.map((status): [string, JsonObject] => {
      const codes = failures.get(status);
      const shared = codes === undefined || !route.limited ? null : sharedResponse(codes);
      if (shared !== null) return [String(status), shared];
      const common = { description: STATUS_CODES[status] ?? '', headers: headersOf(route, status) };
      if (codes !== undefined) {
        return [String(status), { ...common, content: refusalContent(codes, wrong) }];
      }
      const schema = replies[status];
      if (schema === null || schema === undefined) return [String(status), common];
      const example = examples?.replies?.[status];
      const content = {
        schema: schemas.write(schema, 'output'),
        ...(example !== undefined && { example: example as JsonValue }),
      };
      const { replyType, otherReplyTypes } = route.contract;
      return [String(status), { ...common, content: contentOf(replyType, content, otherReplyTypes, examples?.byType) }];
    }),
  );
}

function headersOf(route: DocumentedRoute, status: number): JsonObject {
  const replayed = takesIdempotencyKey(route) && status < 300;
  return {
    ...(route.limited ? headersOfStatus(status) : { 'X-Request-Id': header('XRequestId') }),
    ...(replayed && { 'Idempotent-Replayed': header('IdempotentReplayed') }),
  };
}

/** A member of a schema that can be wrong, a required one for choice, with the sentence of our own checks. */
function wrongField(schema: JsonObject | null): WrongField | null {
  const [required] = (schema?.['required'] ?? []) as string[];
  if (required !== undefined) return { field: required, sentence: 'This field is required.' };
  const [first] = Object.entries((schema?.['properties'] ?? {}) as Record<string, JsonObject>);
  if (first === undefined) return null;
  const [field, member] = first;
  const { type } = member;
  return { field, sentence: (typeof type === 'string' && SENTENCES[type]) || 'This field may not be null.' };
}

const SENTENCES: Readonly<Record<string, string>> = {
  boolean: 'Must be a valid boolean: true or false.',
  integer: 'A valid integer is required.',
  object: 'Must be an object.',
  string: 'Not a valid string.',
};
