import { z } from 'zod';
import { isJsonObject, type JsonObject, type JsonValue } from '../../domain/json.ts';

/** Which side of a schema is meant: what is sent to us, or what we answer. */
export type Side = 'input' | 'output';

/** Turns zod schemas into JSON Schemas, and collects those that have a name. */
export interface SchemaWriter {
  /** The JSON Schema; named schemas in it are references into `components`. */
  write(schema: z.ZodType, side: Side): JsonObject;
  /** The named schemas written so far. */
  components(): Readonly<Record<string, JsonObject>>;
}

/** @throws {Error} when two schemas have one name */
export function createSchemaWriter(): SchemaWriter {
  const named = new Map<string, JsonObject>();
  return {
    write: (schema, side) => {
      const {
        $schema: _dialect,
        $defs,
        ...written
      } = z.toJSONSchema(schema, {
        target: 'draft-2020-12',
        io: side,
        unrepresentable: 'any',
        override: ({ zodSchema, jsonSchema }) => mend(zodSchema, jsonSchema as JsonObject),
      }) as JsonObject;
      for (const [name, definition] of Object.entries(($defs ?? {}) as Record<string, JsonObject>)) {
        const known = named.get(name);
        const { id: _id, ...body } = pointed(definition) as JsonObject;
        if (known !== undefined && JSON.stringify(known) !== JSON.stringify(body)) {
          throw new Error(`two schemas have the name ${name}: give one of them another in .meta({ id })`);
        }
        named.set(name, body);
      }
      return pointed(written) as JsonObject;
    },
    components: () => Object.fromEntries([...named].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** What zod says too much or too little of. */
function mend(schema: z.core.$ZodType, json: JsonObject): void {
  // A type or format that is named says it better than the pattern behind it.
  if (json['type'] === 'integer' || json['format'] === 'uuid' || json['format'] === 'date') delete json['pattern'];
  if (json['maximum'] === Number.MAX_SAFE_INTEGER) delete json['maximum'];
  if (json['minimum'] === Number.MIN_SAFE_INTEGER) delete json['minimum'];
  nameMembers(json);
  const { def } = schema._zod;
  if (def.type === 'default') json['default'] = (def as z.core.$ZodDefaultDef).defaultValue as JsonValue;
  const described = z.globalRegistry.get(schema)?.['default'];
  if (described !== undefined) json['default'] = described as JsonValue;
}

/** A record whose keys are known, as an object with those members. */
function nameMembers(json: JsonObject): void {
  const { propertyNames, additionalProperties } = json;
  const names = isJsonObject(propertyNames) ? propertyNames['enum'] : undefined;
  if (!isTexts(names) || additionalProperties === undefined) return;
  delete json['propertyNames'];
  json['properties'] = Object.fromEntries(names.map((name) => [name, additionalProperties]));
  json['additionalProperties'] = false;
}

function isTexts(value: JsonValue | undefined): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** The same with references that point into the document. */
function pointed(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(pointed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      key === '$ref' && typeof member === 'string'
        ? member.replace('#/$defs/', '#/components/schemas/')
        : pointed(member),
    ]),
  );
}
