import { aliasOf, CHECK_CATEGORIES, type CheckCategory } from './decision-categories.ts';
import type { CheckParts } from './decision-parts.ts';
import { isUuid } from './ids.ts';
import { isJsonObject, setMember, type JsonObject, type JsonValue } from './json.ts';

/**
 * Where Didit puts images, videos and documents (contract/feature-objects.md), at any depth of an item. A member may be one
 * text or a list of them. The images in `matches` are other people's: they stay as they are, with their owner.
 */
const MEDIA_KEYS: ReadonlyMap<CheckCategory, ReadonlySet<string>> = new Map(
  Object.entries({
    id_verifications: [
      'portrait_image',
      'front_image',
      'front_video',
      'back_image',
      'back_video',
      'full_front_image',
      'full_back_image',
      'front_image_camera_front',
      'back_image_camera_front',
      'extra_files',
      'registry_portrait',
      'portrait',
    ],
    nfc_verifications: ['portrait_image', 'signature_image'],
    liveness_checks: ['reference_image', 'video_url'],
    face_matches: ['source_image', 'target_image'],
    poa_verifications: ['document_file', 'extra_files'],
    document_ai_documents: ['file_url', 'extra_files'],
    document_verifications: ['file_url'],
    questionnaire_responses: ['files'],
  } satisfies Partial<Record<CheckCategory, string[]>>).map(([category, keys]) => [
    category as CheckCategory,
    new Set(keys),
  ]),
);

const PREFIX = 'handoff-media:';

/** Whether a member of this name, anywhere in an item of this array, holds a file or a list of them. */
export function isMediaKey(category: CheckCategory, key: string): boolean {
  return MEDIA_KEYS.get(category)?.has(key) === true;
}

/** How a stored payload names a file of its session. */
export function mediaReference(mediaId: string): string {
  return `${PREFIX}${mediaId}`;
}

/** Whether a text looks like one of our references. Only we write them: from outside they are refused. */
export function isMediaReference(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** False when no text in this JSON text can be one of our references. */
export function mayHoldMediaReference(json: string): boolean {
  return json.includes(`"${PREFIX}`);
}

/** The media id in a reference; null when the text is none. */
export function referencedMediaId(text: string): string | null {
  const mediaId = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : '';
  return isUuid(mediaId) ? mediaId : null;
}

/**
 * Copies checks with every text of a media field replaced.
 *
 * @param replace gets the text and its dotted path, such as `document_verifications.0.items.2.file_url`
 */
export function replaceMedia<Check extends Pick<CheckParts, 'category' | 'position' | 'shared'>>(
  checks: readonly Check[],
  replace: (text: string, field: string) => JsonValue,
): Check[] {
  return checks.map((check) =>
    MEDIA_KEYS.has(check.category)
      ? { ...check, shared: replaceIn(check.category, check.shared, `${check.category}.${check.position}`, replace) }
      : check,
  );
}

/** A file that is still with its source. */
export interface RemoteFile {
  readonly mediaId: string;
  readonly url: string;
}

/** Takes `https:` links out of checks, to be fetched: each leaves a reference behind. Other texts stay as they are. */
export function takeOutLinks<Check extends Pick<CheckParts, 'category' | 'position' | 'shared'>>(
  checks: readonly Check[],
  newId: () => string,
): { readonly checks: Check[]; readonly remote: RemoteFile[] } {
  const remote: RemoteFile[] = [];
  const taken = replaceMedia(checks, (text) => {
    if (!isFileLink(text)) return text;
    const mediaId = newId();
    remote.push({ mediaId, url: text });
    return mediaReference(mediaId);
  });
  return { checks: taken, remote };
}

/** Files of one document that are fetched from its source. */
export const MAX_LINKS = 500;

/** Leaves the first {@link MAX_LINKS} `https:` links in checks, and null in the place of the others, whose fields it tells. */
export function leaveOutManyLinks<Check extends Pick<CheckParts, 'category' | 'position' | 'shared'>>(
  checks: readonly Check[],
): { readonly checks: Check[]; readonly leftOut: string[] } {
  let links = 0;
  const leftOut: string[] = [];
  const left = replaceMedia(checks, (text, field) => {
    if (!isFileLink(text) || links++ < MAX_LINKS) return text;
    leftOut.push(field);
    return null;
  });
  return { checks: left, leftOut };
}

function isFileLink(text: string): boolean {
  return /^https:\/\//i.test(text);
}

/** Puts a link, or null, in the place of every reference of one item. */
export function putLinksInItem(
  category: CheckCategory,
  item: JsonObject,
  linkOf: (mediaId: string) => string | null,
): JsonObject {
  if (!MEDIA_KEYS.has(category)) return item;
  return replaceIn(category, item, '', (text) => {
    if (!isMediaReference(text)) return text;
    const mediaId = referencedMediaId(text);
    return mediaId === null ? null : linkOf(mediaId);
  });
}

/** Puts a link, or null, in the place of every reference of a rendered decision, under both names of an array. */
export function putLinksInDecision(decision: JsonObject, linkOf: (mediaId: string) => string | null): JsonObject {
  const linked = { ...decision };
  for (const [name, category] of MEDIA_ARRAYS) {
    const items = decision[name];
    if (!Array.isArray(items)) continue;
    linked[name] = items.map((item) => (isJsonObject(item) ? putLinksInItem(category, item, linkOf) : item));
  }
  return linked;
}

/** Name in a decision, and the array that it is. */
const MEDIA_ARRAYS: readonly (readonly [string, CheckCategory])[] = [
  ...new Set([...CHECK_CATEGORIES.user, ...CHECK_CATEGORIES.business]),
]
  .filter((category) => MEDIA_KEYS.has(category))
  .flatMap((category) => {
    const alias = aliasOf(category);
    return [[category, category] as const, ...(alias === null ? [] : [[alias, category] as const])];
  });

/** Bounded like the item itself, whose nesting was checked when it was taken apart. */
function replaceIn(
  category: CheckCategory,
  object: JsonObject,
  path: string,
  replace: (text: string, field: string) => JsonValue,
): JsonObject {
  const visit = (value: JsonValue, at: string, media: boolean): JsonValue => {
    if (typeof value === 'string') return media ? replace(value, at) : value;
    if (Array.isArray(value)) return value.map((member, index) => visit(member, `${at}.${index}`, media));
    return isJsonObject(value) ? replaceIn(category, value, at, replace) : value;
  };
  const copy: JsonObject = {};
  for (const [key, value] of Object.entries(object)) {
    setMember(copy, key, visit(value, `${path}.${key}`, isMediaKey(category, key)));
  }
  return copy;
}
