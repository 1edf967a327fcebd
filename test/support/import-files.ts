import type { JsonObject } from '../../src/domain/json.ts';

/** A form as its bytes: what a client sends as `multipart/form-data`, with a boundary that is new in every request. */
export async function formBytes(
  fields: Readonly<Record<string, string>>,
  file?: {
    readonly name: string;
    readonly content: string | Uint8Array<ArrayBuffer>;
    readonly type?: string;
    readonly field?: string;
  },
): Promise<{ payload: Buffer; headers: Record<string, string> }> {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  if (file !== undefined) {
    form.set(file.field ?? 'file', new Blob([file.content], { type: file.type ?? '' }), file.name);
  }
  const request = new Request('http://localhost/', { method: 'POST', body: form });
  return {
    payload: Buffer.from(await request.arrayBuffer()),
    headers: { 'content-type': request.headers.get('content-type') ?? '' },
  };
}

/** One person's record, with checks of a realistic size: some 5 KB as a line of NDJSON. */
export function personRecord(externalId: string, about: JsonObject = {}): JsonObject {
  const [first, last] = [`Given ${externalId}`, `Family ${externalId}`];
  const warnings = Array.from({ length: 6 }, (_, index) => ({
    feature: 'ID_VERIFICATION',
    risk: `SAMPLE_RISK_${index}`,
    log_type: 'information',
    short_description: 'A sample warning, as a provider writes it',
    long_description: `What was seen, why it is worth a look, and what an operator may want to do about it. ${'Text. '.repeat(20)}`,
    additional_data: { score: index / 7, seen_at: '2024-05-17T08:42:11Z' },
  }));
  return {
    external_id: externalId,
    session_kind: 'user',
    status: 'Approved',
    vendor_data: `customer of ${externalId}`,
    created_at: '2024-05-17T08:42:11.000000Z',
    metadata: { source: 'earlier provider', batch: 7 },
    id_verifications: [
      {
        status: 'Approved',
        document_type: 'Passport',
        document_number: `N${externalId}`,
        issuing_state: 'PRT',
        first_name: first,
        last_name: last,
        full_name: `${first} ${last}`,
        date_of_birth: '1990-01-31',
        expiration_date: '2032-02-28',
        address: 'Rua do Exemplo 1, 1000-001 Lisboa',
        warnings,
      },
    ],
    liveness_checks: [{ status: 'Approved', method: 'PASSIVE', score: 98.4, matches: [] }],
    face_matches: [{ status: 'Approved', score: 91.25 }],
    email_verifications: [{ status: 'Approved', email: `${externalId}@customer.example` }],
    aml_screenings: [{ status: 'Approved', total_hits: 0, hits: [], score: 0 }],
    ...about,
  };
}
