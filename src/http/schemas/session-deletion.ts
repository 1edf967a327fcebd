import { z } from 'zod';
import type { RouteContract } from './contract.ts';
import { postErrors } from './errors.ts';
import { EXAMPLE_IDS } from './examples.ts';
import { checkRetention, retention } from './face-retention.ts';
import { bool } from './fields.ts';
import { deletedReply } from './sharing.ts';

/** A session's number, written as digits or as a number. */
const sessionNumber = z
  .union([z.string().regex(/^\d{1,15}$/), z.int().nonnegative()], 'All session_numbers must be numeric.')
  .transform(Number);

/** Body of `POST /v3/sessions/delete/`. */
export const deleteManyBody = z
  .object({
    session_numbers: z
      .array(sessionNumber, 'Must be a list of session numbers.')
      .min(1, 'This list may not be empty.')
      .nullable()
      .optional(),
    delete_all: bool.optional(),
    ...retention,
  })
  .superRefine((given, context) => {
    checkRetention(given, context);
    if (given.delete_all === true || (given.session_numbers ?? null) !== null) return;
    const message = 'This field is required unless delete_all is true.';
    context.addIssue({ code: 'custom', path: ['session_numbers'], message });
  });

export const deleteManyReply = z.strictObject({ results: z.array(deletedReply) });

export const deleteManyContract: RouteContract = {
  operationId: 'deleteSessions',
  tag: 'Sessions',
  summary: 'Delete many user sessions for good',
  description:
    'By their numbers, which are those of user sessions as with Didit; unknown ones are passed over. Or `delete_all`, which ' +
    'wins. Each goes as by itself. It goes in batches: if the call breaks off, the same call again deletes the rest. A ' +
    'repeat under one Idempotency-Key deletes nothing and has no results. Fields about face templates are checked; none ' +
    'are kept, so the outcome is always `none`.',
  body: deleteManyBody,
  replies: { 200: deleteManyReply, ...postErrors },
  examples: {
    body: { session_numbers: ['43762', '43763'] },
    replies: {
      200: {
        results: [
          {
            session_id: EXAMPLE_IDS.session,
            session_number: 43762,
            face_retention_outcome: 'none',
            biometric_template_uuid: null,
          },
        ],
      },
    },
  },
};
