import { randomBytes, randomUUID } from 'node:crypto';
import type { JsonObject } from '../src/domain/json.ts';
import type { Brand } from './brands.ts';
import type { Random } from './random.ts';

/** A marked text: which brand took it in, and which of its documents it stands in. Nothing else looks like it. */
const MARK = /zq([0-9a-f]{8})x([0-9a-f]{12})/gi;

/** What a mark says. */
export interface Mark {
  /** {@link Brand.mark} of who took it in. */
  readonly brand: string;
  /** Of one document alone. */
  readonly document: string;
}

/** The beginning of every mark of a brand: found somewhere, it is personal data of that brand's customers. */
export function markStem(brand: Pick<Brand, 'mark'>): string {
  return `zq${brand.mark}x`;
}

/** Every mark in a text, each once. */
export function marksIn(text: string): Mark[] {
  const found = new Map<string, Mark>();
  for (const [whole, brand = '', document = ''] of text.matchAll(MARK)) {
    found.set(whole.toLowerCase(), { brand: brand.toLowerCase(), document: document.toLowerCase() });
  }
  return [...found.values()];
}

/**
 * A small finished session for `POST /v1/sessions/`, whose personal texts are marked: what names the person is the mark
 * itself, and what is stored plainly by design (ids) holds none.
 */
export function markedDocument(brand: Brand, random: Random): { readonly document: JsonObject; readonly mark: string } {
  const mark = `${markStem(brand)}${randomBytes(6).toString('hex')}`;
  const common = { external_id: randomUUID(), status: random.pick(['Approved', 'Approved', 'In Review', 'Declined']) };
  // Few enough that customers come again, and their rows are wanted by two at once.
  const vendorData = `customer-${random.between(1, 200)}`;
  if (random.next() < 0.15) {
    const document = {
      ...common,
      session_kind: 'business',
      vendor_data: `company-${vendorData}`,
      registry_checks: [{ node_id: 'feature_kyb_1', status: 'Approved', company: { legal_name: `${mark} Ltd` } }],
    };
    return { mark, document };
  }
  const document = {
    ...common,
    session_kind: 'user',
    vendor_data: vendorData,
    id_verifications: [
      {
        node_id: 'feature_ocr_1',
        status: 'Approved',
        document_type: 'Passport',
        document_number: mark,
        first_name: mark,
        last_name: `of ${mark}`,
        date_of_birth: '1990-01-02',
        expiration_date: '2032-06-02',
        address: `${random.between(1, 99)} ${mark} Street`,
      },
    ],
    email_verifications: [{ node_id: 'feature_email_1', status: 'Approved', email: `${mark}@people.example` }],
    metadata: { note: mark },
  };
  return { mark, document };
}
