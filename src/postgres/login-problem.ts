import type { Operation } from './isolation/roles.ts';
import { roleName } from './isolation/statements.ts';

/**
 * What is wrong with the login in `DATABASE_URL`, as a sentence for an operator.
 *
 * @param error what a transaction of that operation failed with
 * @param login the one that is meant for it
 * @returns null when the error says nothing of the login
 */
export function loginProblem(error: unknown, operation: Operation, login: string): string | null {
  const { code } = error as { code?: unknown };
  const role = roleName(operation);
  if (code === '28P01' || code === '28000') {
    return `the database in DATABASE_URL does not let that login in (${code}): check its name and password; it needs ${login}`;
  }
  if (code === '42501') {
    return `the login in DATABASE_URL may not connect, or not take on the role ${role} (42501): it needs ${login}, or another member of ${role}; the migration makes ${login} a member, once that login exists`;
  }
  // What SET ROLE says of a role that is not there.
  if (code === '22023') return `the database in DATABASE_URL has no role ${role} (22023): run the migration`;
  return null;
}
