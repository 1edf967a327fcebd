import type { JsonObject, JsonValue } from '../domain/json.ts';
import { canonicalJson } from './canonical-json.ts';

/** The members of an object, each as canonical text, by names inside the safe profile (see `canonicalProblem`). */
export type CanonicalMembers = Map<string, string>;

/**
 * An object as its events keep it: canonical, but each member on a line of its own. Canonical text holds no line break
 * itself, so that whoever needs the members takes them apart without parsing them, and to a JSON reader it is the same.
 */
export function memberLines(object: JsonObject): string {
  const lines = Object.keys(object)
    .sort()
    .map((name) => `"${name}":${canonicalJson(object[name] ?? null)}`);
  return `{\n${lines.join(',\n')}\n}`;
}

/** Reads what {@link memberLines} wrote, and any other JSON text of an object, which takes much longer. */
export function membersOf(text: string): CanonicalMembers {
  const members: CanonicalMembers = new Map();
  if (!text.startsWith('{\n"')) {
    const object = JSON.parse(text) as JsonObject;
    for (const [name, value] of Object.entries(object)) members.set(name, canonicalJson(value));
    return members;
  }
  for (const line of text.slice(2, -2).split(',\n')) {
    const end = line.indexOf('"', 1);
    members.set(line.slice(1, end), line.slice(end + 2));
  }
  return members;
}

/** Canonical text of the object that has these members. */
export function textOfMembers(members: CanonicalMembers): string {
  let text = '';
  // Added up, not joined: V8 then copies a large member once.
  for (const name of [...members.keys()].sort()) text += `${text === '' ? '{' : ','}"${name}":${members.get(name)}`;
  return `${text === '' ? '{' : text}}`;
}

/** No UTF-16 unit takes more bytes in UTF-8. */
const MOST_BYTES_OF_A_UNIT = 3;

/** Whether {@link textOfMembers} has more bytes than that; they are counted only where its length leaves it open. */
export function takesMoreThan(bytes: number, members: CanonicalMembers): boolean {
  const size = (lengthOf: (text: string) => number) => {
    let sum = '{}'.length + Math.max(0, members.size - 1);
    for (const [name, text] of members) sum += name.length + '"":'.length + lengthOf(text);
    return sum;
  };
  return size((text) => text.length * MOST_BYTES_OF_A_UNIT) > bytes && size((text) => Buffer.byteLength(text)) > bytes;
}

/** A member's value; undefined when there is none of that name. */
export function readMember(members: CanonicalMembers, name: string): JsonValue | undefined {
  const text = members.get(name);
  return text === undefined ? undefined : (JSON.parse(text) as JsonValue);
}
