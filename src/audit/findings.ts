/** What a verification can find. */
export type FindingCode =
  | 'event_altered'
  | 'event_removed'
  | 'event_lost'
  | 'trigger_unknown'
  | 'not_sealed'
  | 'not_anchored'
  | 'rows_removed'
  | 'row_altered'
  | 'reordered'
  | 'payload_altered'
  | 'tail_cut'
  | 'recomputed'
  | 'no_anchor'
  | 'anchor_forged'
  | 'anchor_key_unknown'
  | 'anchor_unsigned'
  | 'anchor_removed'
  | 'export_cut'
  | 'export_altered';

/** Something that is not as it was sealed. */
export interface Finding {
  readonly code: FindingCode;
  readonly applicationId: string | null;
  /** Place in the chain, when it has one. */
  readonly position: number | null;
  readonly eventId: string | null;
  /** One sentence for a person: what, where. */
  readonly sentence: string;
}

/** Makes findings of one application. */
export function findingOf(applicationId: string | null) {
  return (code: FindingCode, sentence: string, at: Partial<Pick<Finding, 'position' | 'eventId'>> = {}): Finding => ({
    code,
    applicationId,
    position: at.position ?? null,
    eventId: at.eventId ?? null,
    sentence,
  });
}
