const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text is a UUID as we write them: lower-case, with hyphens. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** Stands for the platform where an event names its application: no application has it. */
export const PLATFORM_ID = '00000000-0000-0000-0000-000000000000';
