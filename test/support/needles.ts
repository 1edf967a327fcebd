/** Something to be found. */
export interface Needle {
  readonly name: string;
  readonly text: string;
}

/** Finds needles in bytes, however they are written there. */
export interface NeedleSearch {
  /** Names of those that the bytes hold: as they are, in any case, in hexadecimal or in base64 of either alphabet. */
  readonly find: (bytes: Uint8Array) => string[];
}

/** Shorter ones would be found by chance when their case did not matter. */
const MIN_ANY_CASE = 10;

/** What is left of a number or a date in base64, at one of its places, may be six digits: ids and times hold those by chance. */
const NUMBER = /^[\d+-]+$/;
const MIN_BASE64 = { number: 12, text: 6 } as const;

/** Prepares a search: one pass over the bytes finds all needles at once. */
export function needleSearch(needles: readonly Needle[]): NeedleSearch {
  const exact = newTable();
  const lower = newTable();
  for (const { name, text } of needles) {
    const bytes = Buffer.from(text);
    const least = MIN_BASE64[NUMBER.test(text) ? 'number' : 'text'];
    for (const form of base64Forms(bytes)) if (form.length >= least) exact.add(form, name);
    if (text.length < MIN_ANY_CASE) exact.add(bytes, name);
    else lower.add(Buffer.from(text.toLowerCase()), name);
    lower.add(Buffer.from(bytes.toString('hex')), name);
  }
  return {
    find: (bytes) => {
      const found = new Set<string>();
      exact.scan(bytes, found);
      lower.scan(lowerCased(bytes), found);
      return [...found];
    },
  };
}

/** What every base64 of a longer text holds of this one, at each of the three places where it may begin. */
function base64Forms(bytes: Buffer): Buffer[] {
  return [0, 1, 2].flatMap((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), bytes]);
    // The first group mixes with what is before, the last with what comes after.
    const start = before === 0 ? 0 : 4;
    const end = Math.floor(whole.length / 3) * 4;
    const standard = whole.toString('base64').slice(start, end);
    const other = standard.replaceAll('+', '-').replaceAll('/', '_');
    return (other === standard ? [standard] : [standard, other]).map((text) => Buffer.from(text));
  });
}

function newTable() {
  const isBeginning = new Uint8Array(1 << 16);
  const byBeginning = new Map<number, { bytes: Buffer; name: string }[]>();
  return {
    add(bytes: Buffer, name: string): void {
      isBeginning[bytes.readUInt16LE(0)] = 1;
      const beginning = bytes.readUInt32LE(0);
      byBeginning.set(beginning, [...(byBeginning.get(beginning) ?? []), { bytes, name }]);
    },
    scan(bytes: Uint8Array, found: Set<string>): void {
      const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const last = haystack.length - 4;
      for (let at = 0; at <= last; at += 1) {
        if (isBeginning[(haystack[at] ?? 0) | ((haystack[at + 1] ?? 0) << 8)] === 0) continue;
        for (const needle of byBeginning.get(haystack.readUInt32LE(at)) ?? []) {
          const end = Math.min(at + needle.bytes.length, haystack.length);
          if (haystack.compare(needle.bytes, 0, needle.bytes.length, at, end) === 0) found.add(needle.name);
        }
      }
    },
  };
}

function lowerCased(bytes: Uint8Array): Uint8Array {
  const lower = Uint8Array.from(bytes);
  for (let at = 0; at < lower.length; at += 1) {
    const byte = lower[at] ?? 0;
    if (byte >= 0x41 && byte <= 0x5a) lower[at] = byte + 0x20;
  }
  return lower;
}
