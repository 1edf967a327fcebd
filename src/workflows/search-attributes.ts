import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

/** Typed keys of the search attributes in `domain/temporal-names.ts`. */
export const HANDOFF_STATUS = defineSearchAttributeKey('HandoffStatus', SearchAttributeType.KEYWORD);
export const HANDOFF_ISSUER = defineSearchAttributeKey('HandoffIssuer', SearchAttributeType.KEYWORD);
export const HANDOFF_PARTNER = defineSearchAttributeKey('HandoffPartner', SearchAttributeType.KEYWORD);
export const HANDOFF_SESSION_KIND = defineSearchAttributeKey('HandoffSessionKind', SearchAttributeType.KEYWORD);
export const HANDOFF_EXPIRES_AT = defineSearchAttributeKey('HandoffExpiresAt', SearchAttributeType.DATETIME);
