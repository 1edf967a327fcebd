/** What a key may be allowed to touch (`semantics.md`, "Codes besides import's"). */
export const RESOURCES = [
  'sessions',
  'onboardings',
  'connections',
  'webhooks',
  'workflows',
  'users',
  'businesses',
  'audit',
] as const;
export type Resource = (typeof RESOURCES)[number];

/** `write` implies `read`. */
export type Access = 'read' | 'write';

/** What a key may do; a resource that is absent is closed to it. */
export type Privileges = Readonly<Partial<Record<Resource, Access>>>;

/** Everything: what a brand's first key can do. */
export const ALL_PRIVILEGES: Privileges = Object.fromEntries(RESOURCES.map((resource) => [resource, 'write']));

/** Whether privileges cover an access to a resource. */
export function allows(privileges: Privileges, resource: Resource, access: Access): boolean {
  const granted = Object.hasOwn(privileges, resource) ? privileges[resource] : undefined;
  return granted === 'write' || granted === access;
}
