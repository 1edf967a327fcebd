import { randomBytes, randomInt } from 'node:crypto';
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/domain/json.ts';

/**
 * What a canary stands for. Personal data and secrets may be readable nowhere; each other kind is one that is stored
 * plainly by design, and may be read where it belongs and nowhere else.
 */
export type CanaryKind =
  | 'personal'
  | 'secret'
  | 'vendor_data'
  | 'external_id'
  | 'person_reference'
  | 'document_expiry'
  | 'name_of_ours'
  | 'label'
  | 'agreement'
  | 'receiver_url'
  | 'provider'
  | 'idempotency_key';

/** A text that is nowhere else, and where it was planted. */
export interface Canary {
  readonly kind: CanaryKind;
  readonly name: string;
  readonly text: string;
}

/** The canaries of one sweep. */
export interface CanaryBook {
  readonly all: readonly Canary[];
  /** A new text of letters and digits, to be planted. */
  plant(kind: CanaryKind, name: string): string;
  /** A new number of 12 digits, to be planted. */
  plantNumber(kind: CanaryKind, name: string): number;
  /** A text that came from elsewhere, such as a secret that the API has shown; returns it. */
  note(kind: CanaryKind, name: string, text: unknown): string;
}

/** Opens an empty book; what it plants is of this run alone. */
export function canaryBook(): CanaryBook {
  const all: Canary[] = [];
  const texts = new Set<string>();
  const stem = `Cn${randomBytes(4).toString('hex')}`;
  const digits = randomInt(10_000_000, 99_999_999);
  const add = (kind: CanaryKind, name: string, text: string) => {
    if (!texts.has(text)) all.push({ kind, name, text });
    texts.add(text);
    return text;
  };
  return {
    all,
    plant: (kind, name) => add(kind, name, `Z${all.length.toString(36).padStart(3, '0')}${stem}`),
    plantNumber: (kind, name) => Number(add(kind, name, `${1000 + all.length}${digits}`)),
    note: (kind, name, text) => {
      if (typeof text !== 'string' || text.length < 6) throw new Error(`${name} is no text that could be found again`);
      return add(kind, name, text);
    },
  };
}

/** Members that hold a word out of a list, a time or another session's id, which intake reads: they stay as they are. */
const READ_BY_INTAKE = new Set([
  'session_kind',
  'status',
  'environment',
  'features',
  'nfc_skip_reason',
  'session_id',
  'session_number',
  'workflow_id',
  'created_at',
  'expires_at',
  'expiration_date',
  'kyc_session_id',
  'document_type',
  'issuing_state',
  'country_code',
  'risk',
]);

/**
 * A decision document with a canary in every text and every number that a person could have written, however deep. What
 * intake reads stays, but for `vendor_data`, `external_id` and the references to people, which are of kinds of their own.
 *
 * @param prefix begins the name of each canary
 */
export function plantDocument(book: CanaryBook, document: JsonObject, prefix: string): JsonObject {
  const plant = (value: JsonValue, path: readonly string[]): JsonValue => {
    const member = path.findLast((part) => !/^\d+$/.test(part)) ?? '';
    const name = `${prefix} ${path.join('.')}`;
    if (Array.isArray(value)) return value.map((item, index) => plant(item, [...path, String(index)]));
    if (isJsonObject(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plant(inner, [...path, key])]));
    }
    if (path.length === 1 && (member === 'vendor_data' || member === 'external_id')) return book.plant(member, name);
    if (READ_BY_INTAKE.has(member)) return value;
    if (typeof value === 'number') return book.plantNumber('personal', name);
    if (typeof value !== 'string') return value;
    const text = book.plant('personal', name);
    if (value.startsWith('https://')) return `https://${text}.invalid/${text}`;
    return value.includes('@') ? `${text}@canary.example` : text;
  };
  return plant(document, []) as JsonObject;
}
