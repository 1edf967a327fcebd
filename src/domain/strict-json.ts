import { isJsonObject, setMember, type JsonObject, type JsonValue } from './json.ts';

/** Arrays and objects that may stand in one another. */
export const MAX_DEPTH = 128;

/** What is wrong with a text that two readers could read as two different things, or of which one would lose something. */
export interface JsonProblem {
  /**
   * Keys and indexes from the outside in: where it stands, of an unfit key the object that has it, of endless nesting the
   * outermost key; empty when that is the whole text.
   */
  readonly place: readonly string[];
  /** What is wrong there and how to mend it. */
  readonly sentence: string;
}

/** Either the value of a text, or what is wrong with it. */
export type JsonReading =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly problem: JsonProblem };

/**
 * Reads JSON (RFC 8259) as strictly as I-JSON (RFC 7493) asks. Beside what is no JSON it refuses an object with the same key
 * twice, the keys `__proto__` and `constructor.prototype`, NUL and half a surrogate pair in a text or a key, a whole number
 * beyond 2^53 - 1 that is written without fraction and exponent, any other number beyond it that would be written back as
 * another one, a number that would become infinite or zero, and nesting beyond `MAX_DEPTH`. Time is linear.
 */
export function readJson(text: string): JsonReading {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    return { ok: false, problem: { place: [], sentence: 'It is not JSON: send one JSON value.' } };
  }
  const escapedKeys: EscapedKey[] = [];
  const problem = problemIn(text, escapedKeys);
  if (problem !== null) return { ok: false, problem };
  return { ok: true, value: escapedKeys.length === 0 ? value : readWithKeys(text, escapedKeys) };
}

/** A key that is written with escapes: the indexes of its quotation marks, and what it says. */
interface EscapedKey {
  readonly start: number;
  readonly end: number;
  readonly key: string;
}

/** Half a surrogate pair: no key that is let in has one. */
const MARK = '\ud800';

/**
 * Reads a text with other keys in the place of escaped ones, and puts those back: V8 (Node 24) compares an escaped key as
 * it is written with one that it expects by an earlier object, and so reads `"\u0061"` as a backslash after a `"\\"`.
 */
function readWithKeys(text: string, escapedKeys: readonly EscapedKey[]): JsonValue {
  let plain = '';
  let from = 0;
  for (const [index, { start, end }] of escapedKeys.entries()) {
    plain += `${text.slice(from, start + 1)}${MARK}${index}`;
    from = end;
  }
  const restored = (value: JsonValue): JsonValue => {
    if (Array.isArray(value)) return value.map(restored);
    if (!isJsonObject(value)) return value;
    const object: JsonObject = {};
    for (const [key, member] of Object.entries(value)) {
      const escaped = key.startsWith(MARK) ? escapedKeys[Number(key.slice(1))] : undefined;
      setMember(object, escaped?.key ?? key, restored(member));
    }
    return object;
  };
  return restored(JSON.parse(plain + text.slice(from)) as JsonValue);
}

/** Sign, whole part, fraction, exponent. */
const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:e([-+]?\d+))?$/i;

/** Whole numbers of so many are below 2^53. */
const SAFE_DIGITS = 15;
const SHOWN_CHARACTERS = 100;

/** The problem in one line. @param subject what the text is to its reader, e.g. `The line` */
export function problemLine({ place, sentence }: JsonProblem, subject: string): string {
  if (place.length === 0) return sentence.replace(/^It/, subject);
  return `${place.join('.').slice(0, SHOWN_CHARACTERS)}: ${sentence}`;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const UPPER_E = 0x45;
const LOWER_E = 0x65;
const ZERO = 0x30;
const NINE = 0x39;
const BRACKET = 0x5b;
const BRACKET_END = 0x5d;
const BRACE = 0x7b;
const BRACE_END = 0x7d;

/** The first problem of a text that JSON.parse takes. Notes its escaped keys, in their order. */
function problemIn(text: string, escapedKeys: EscapedKey[]): JsonProblem | null {
  // Of each level that is open: its keys so far, or null for an array; and the key or index that is read now.
  const keys: (Set<string> | null)[] = [];
  const names: (string | number)[] = [];
  let level = -1;
  let own: Set<string> | null = null;
  let keyIsNext = false;
  // JSON.parse takes no NUL, and text from UTF-8 has no halves of pairs: either then stands in an escape.
  const isWhole = text.isWellFormed();
  let escape = nextEscape(text, 0);
  const here = (sentence: string, levels = level + 1): JsonProblem => ({
    place: names.slice(0, levels).map(String),
    sentence,
  });

  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      if (escape < at) escape = nextEscape(text, at);
      if (own !== null && keyIsNext) {
        const inner = text.slice(at + 1, end);
        const isEscaped = inner.includes('\\');
        const key = isEscaped ? (JSON.parse(`"${inner}"`) as string) : inner;
        if (isEscaped) escapedKeys.push({ start: at, end, key });
        const sentence = keyProblem(key, names[level - 1]);
        if (sentence !== null) return here(sentence, level);
        names[level] = key;
        const before = own.size;
        if (own.add(key).size === before) return here('It stands there twice: send it once.');
        keyIsNext = false;
      } else if ((escape < end || !isWhole) && isUnfit(JSON.parse(text.slice(at, end + 1)) as string)) {
        return here('It holds NUL or half a surrogate pair: remove it.');
      }
      at = end;
    } else if (code === COMMA) {
      if (own !== null) keyIsNext = true;
      else names[level] = (names[level] as number) + 1;
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      const mantissa = endOfDigits(text, at + 1);
      const end = isExponent(text.charCodeAt(mantissa)) ? endOfDigits(text, mantissa + 1) : mantissa;
      // So few digits and so small an exponent lose nothing: few numbers are looked at twice.
      const isShort = mantissa - at <= SAFE_DIGITS && end - mantissa <= 'e99'.length;
      const sentence = isShort ? null : numberProblem(text.slice(at, end));
      if (sentence !== null) return here(sentence);
      at = end - 1;
    } else if (code === BRACE || code === BRACKET) {
      level += 1;
      if (level === MAX_DEPTH) return here(`It nests deeper than ${MAX_DEPTH} levels: flatten it.`, 1);
      own = code === BRACE ? new Set() : null;
      keys[level] = own;
      names[level] = 0;
      keyIsNext = own !== null;
    } else if (code === BRACE_END || code === BRACKET_END) {
      level -= 1;
      own = keys[level] ?? null;
      keyIsNext = false;
    }
  }
  return null;
}

function nextEscape(text: string, from: number): number {
  const at = text.indexOf('\\u', from);
  return at === -1 ? Infinity : at;
}

/** Index of the quotation mark that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
}

function isUnfit(text: string): boolean {
  return text.includes('\0') || !text.isWellFormed();
}

/** A sentence for a key that cannot stay as it is. @param above the key or index that its object stands under */
function keyProblem(key: string, above: string | number | undefined): string | null {
  if (isUnfit(key)) return 'It has a key with NUL or half a surrogate pair: rename it.';
  if (key === '__proto__') return 'It has the key __proto__: rename it.';
  if (key === 'prototype' && above === 'constructor') return 'It has the key prototype under constructor: rename one.';
  return null;
}

/** Index after the digits, points and signs from `start` on. */
function endOfDigits(text: string, start: number): number {
  for (let at = start; ; at += 1) {
    const code = text.charCodeAt(at);
    const isOf = (code >= ZERO && code <= NINE) || code === POINT || code === MINUS || code === PLUS;
    if (!isOf) return at;
  }
}

function isExponent(code: number): boolean {
  return code === LOWER_E || code === UPPER_E;
}

/** A sentence for a number of which JavaScript would keep another one. */
function numberProblem(number: string): string | null {
  const value = Number(number);
  if (Math.abs(value) <= Number.MAX_SAFE_INTEGER && value !== 0) return null;
  if (value !== 0 && /^-?\d+$/.test(number)) return 'It is a whole number beyond 2^53 - 1: send it as a string.';
  const isLost = value === 0 ? /^[-.0]*[1-9]/.test(number) : !Number.isFinite(value);
  if (isLost) return 'It is a number beyond all bounds: send it as a string.';
  return value === 0 || isSameNumber(number, String(value))
    ? null
    : 'It is a number beyond 2^53 - 1 with more digits than are kept: send it as a string.';
}

/** Whether two texts are the same decimal number. */
function isSameNumber(one: string, other: string): boolean {
  return normalized(one) === normalized(other);
}

/** A number without zeros at either end of its digits: `-12.30e5` is `-123e4`. It is not zero. */
function normalized(number: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = NUMBER.exec(number) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  let end = digits.length;
  while (digits.charCodeAt(end - 1) === ZERO) end -= 1;
  return `${sign}${digits.slice(0, end)}e${Number(exponent) - fraction.length + digits.length - end}`;
}
