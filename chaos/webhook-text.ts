import { isJsonObject, type JsonObject, type JsonValue } from '../src/domain/json.ts';

/** The body of a webhook; an empty one when it is no JSON object. */
export function bodyOf(rawBody: string): JsonObject {
  try {
    const value = JSON.parse(rawBody) as JsonValue;
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}

/** `event_id` of a webhook; empty when it has none. */
export function eventIdOf(rawBody: string): string {
  const { event_id: eventId } = bodyOf(rawBody);
  return typeof eventId === 'string' ? eventId : '';
}
