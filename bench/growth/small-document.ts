import { randomBytes } from 'node:crypto';
import type { JsonObject } from '../../src/domain/json.ts';
import { readSample } from '../../test/support/brands.ts';

/** A verification of one identity document and nothing else, of a customer of this name. */
export function smallDocument(name: string): JsonObject {
  const { status, workflow_id, id_verifications } = readSample('kyc-director');
  const [check] = id_verifications as JsonObject[];
  if (check === undefined || status === undefined || workflow_id === undefined) throw new Error('the sample has them');
  const { document_type, document_number, issuing_state, date_of_birth, expiration_date } = check;
  const known = { document_type, document_number, issuing_state, date_of_birth, expiration_date };
  const { first_name, last_name, full_name } = check;
  return {
    external_id: `session-${name}`,
    session_kind: 'user',
    status,
    features: ['ID_VERIFICATION'],
    vendor_data: `customer-${name}`,
    id_verifications: [{ status, ...withoutUndefined({ ...known, first_name, last_name, full_name }) }],
  };
}

/** The same with a picture of the document of so many bytes, which no other has. */
export function documentWithPicture(name: string, bytes: number): JsonObject {
  const document = smallDocument(name);
  const [check] = document['id_verifications'] as JsonObject[];
  const picture = Buffer.concat([JPEG_START, randomBytes(bytes - JPEG_START.length)]);
  return {
    ...document,
    id_verifications: [{ ...check, front_image: `data:image/jpeg;base64,${picture.toString('base64')}` }],
  };
}

const JPEG_START = Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex');

function withoutUndefined(members: Readonly<Record<string, JsonObject[string] | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(members).filter((entry): entry is [string, JsonObject[string]] => entry[1] !== undefined),
  );
}
