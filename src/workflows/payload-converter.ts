import { defaultPayloadConverter, type PayloadConverter } from '@temporalio/common';

/**
 * Reads what can be read. The SDK decodes a signal's arguments before its handler runs, and a payload that somebody
 * sent in another encoding would fail the workflow task for ever; here it becomes `undefined`, which our handlers,
 * who take nothing from a message but the wake-up, never miss.
 */
class ForgivingPayloadConverter implements PayloadConverter {
  toPayload: PayloadConverter['toPayload'] = (value) => defaultPayloadConverter.toPayload(value);

  fromPayload: PayloadConverter['fromPayload'] = (payload) => {
    try {
      return defaultPayloadConverter.fromPayload(payload);
    } catch {
      return undefined as never;
    }
  };
}

/** The export that Temporal's bundler and worker look for. */
export const payloadConverter = new ForgivingPayloadConverter();
