import { WebhookVerificationError } from './verification-error.ts';

/** Deeper bodies are no events, and would overflow a recursion. */
const MAX_DEPTH = 256;

/**
 * Refuses JSON that two parsers could read as two different things: an object with the same key twice, the key
 * `__proto__`, or nesting without end. Takes any text; whether it is JSON is for the parser to say.
 *
 * @throws {WebhookVerificationError} `malformed_body`
 * @throws {SyntaxError} on a key that is no JSON string
 */
export function refuseAmbiguous(text: string): void {
  const keysOfOpen: Set<string>[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '{' || character === '[') {
      keysOfOpen.push(new Set());
      if (keysOfOpen.length > MAX_DEPTH) refuse(`is nested deeper than ${MAX_DEPTH} levels`);
    } else if (character === '}' || character === ']') {
      keysOfOpen.pop();
    } else if (character === '"') {
      const end = endOfString(text, at);
      if (isFollowedByColon(text, end)) {
        const key = JSON.parse(text.slice(at, end)) as string;
        const keys = keysOfOpen.at(-1);
        if (key === '__proto__') refuse('has the key __proto__');
        if (keys?.has(key) === true) refuse('has an object with the same key twice');
        keys?.add(key);
      }
      at = end - 1;
    }
  }
}

/** Index after the closing quotation mark of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function isFollowedByColon(text: string, end: number): boolean {
  let at = end;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at += 1;
  return text[at] === ':';
}

function refuse(what: string): never {
  throw new WebhookVerificationError('malformed_body', `The body ${what}.`);
}
