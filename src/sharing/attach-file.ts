import type { Actor } from '../domain/events.ts';
import { invalidFields, Refusal } from '../domain/failures.ts';
import { isJsonObject } from '../domain/json.ts';
import { setMediaField, type MediaField } from '../domain/media-fields.ts';
import { mediaReference, referencedMediaId } from '../domain/media-references.ts';
import { announceData } from './announce.ts';
import type { DecisionStyle } from './decision.ts';
import type { HandoffTransaction, SessionFile } from './ports.ts';

/**
 * Puts a stored file into a media field of an application's own session, in place of what stood there. An import of the
 * session either has it or comes before it. The application's destinations are told.
 *
 * @throws {Refusal} `session_not_found`; `invalid_request` on `field` when the session has no such place
 */
export async function attachFile(
  tx: HandoffTransaction,
  session: { readonly sessionId: string; readonly applicationId: string },
  { category, position, path }: MediaField,
  file: SessionFile,
  actor: Actor,
  style: DecisionStyle,
): Promise<void> {
  const locked = await tx.sessions.lockCheck(session, { category, position });
  if (locked === null) throw new Refusal('session_not_found');
  const context = { ...session, category, position };
  const item = locked.payload === null ? undefined : tx.sealer.openPayload(context, locked.payload);
  if (!isJsonObject(item)) throw noSuchPlace();
  const replacedText = setMediaField(item, path, mediaReference(file.mediaId));
  if (replacedText === undefined) throw noSuchPlace();
  tx.sessions.replaceCheck(session, { category, position, payload: tx.sealer.sealPayload(context, item, locked.key) });
  const replacedFile = replacedText === null ? null : referencedMediaId(replacedText);
  if (replacedFile !== null) tx.sessions.deleteMedia(session, [replacedFile]);
  tx.sessions.insertMedia(session, [file]);
  const states = { before: { file: replacedText }, after: { file: mediaReference(file.mediaId) } };
  await announceData(tx, session, { cause: `file:${file.mediaId}`, trigger: 'file_added', ...states }, actor, style);
}

function noSuchPlace(): Refusal {
  return invalidFields({ field: ['This session has no such place: name a media field of one of its checks.'] });
}
