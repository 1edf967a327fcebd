import { z } from 'zod';
import { isIsoTime } from '../../domain/decision-dates.ts';
import { bool, oneOf, text } from './fields.ts';

const DAYS = 'Must be a whole number of days from 1 to 3650.';

/** What a deletion says of face templates. They are checked and change nothing: none are kept here. */
export const retention = {
  retain_face_embeddings: bool.nullable().optional(),
  face_retention_days: z.int(DAYS).min(1, DAYS).max(3650, DAYS).nullable().optional(),
  face_retention_deadline: z
    .string('Not a valid string.')
    .refine(isIsoTime, 'Must be an ISO 8601 time with a zone, such as 2027-05-17T08:42:11Z.')
    .nullable()
    .optional(),
  deletion_instruction: oneOf(['operational_session_delete', 'privacy_erasure']).optional(),
  instruction_id: text(255).nullable().optional(),
};

interface Retention {
  readonly retain_face_embeddings?: boolean | null | undefined;
  readonly face_retention_days?: number | null | undefined;
  readonly face_retention_deadline?: string | null | undefined;
  readonly deletion_instruction?: string | undefined;
}

/** What fits together of it. */
export function checkRetention(given: Retention, context: z.core.$RefinementCtx): void {
  if (given.retain_face_embeddings !== true) return;
  if (given.deletion_instruction === 'privacy_erasure') {
    const message = 'Privacy erasure cannot retain biometric templates.';
    context.addIssue({ code: 'custom', path: ['retain_face_embeddings'], message });
  } else if ((given.face_retention_days ?? given.face_retention_deadline ?? null) === null) {
    const message = 'A finite biometric-template retention duration is required.';
    context.addIssue({ code: 'custom', path: ['face_retention_days'], message });
  }
}

/** Body of `DELETE /v3/session/{id}/delete/`, which needs none. */
export const deleteBody = z.object(retention).superRefine(checkRetention);
