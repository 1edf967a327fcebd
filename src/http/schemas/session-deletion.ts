import { z } from 'zod';
import type { RouteContract } from './contract.ts';
import { postErrors } from './errors.ts';
import { EXAMPLE_IDS } from './examples.ts';
import { checkRetention, retention } from './face-retention.ts';
import { bool } from './fields.ts';
import { deletedReply } from './sharing.ts';

/** For documentation: the check below gives Didit's one sentence for all. */
const NUMBERS = [
  { type: 'string', pattern: String.raw`^\d{1,15}$` },
  { type: 'integer', minimum: 0 },
];

/** Sessions' numbers, written as digits or as numbers. */
const sessionNumbers = z
  .array(z.unknown().meta({ anyOf: NUMBERS }), 'Must be a list of session numbers.')
  .min(1, 'This list may not be empty.')
  .transform((list, context) => {
    const isNumber = (one: unknown) =>
      (typeof one === 'string' || typeof one === 'number') && /^\d{1,15}$/.test(String(one));
    if (list.every(isNumber)) return [...new Set(list.map(Number))];
    context.addIssue({ code: 'custom', message: 'All session_numbers must be numeric.' });
    return z.NEVER;
  });

/** Body of `POST /v3/sessions/delete/`. */
export const deleteManyBody = z
  .object({
    session_numbers: sessionNumbers.nullable().optional(),
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
