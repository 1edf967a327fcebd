/**
 * For how many seconds an address is locked after this many failed logins in a row, null when it is not: each fifth
 * failure locks, for 15 minutes, from the tenth for an hour, from the twentieth for a day.
 */
export function lockSeconds(failures: number): number | null {
  if (failures === 0 || failures % 5 !== 0) return null;
  if (failures >= 20) return 86_400;
  return failures >= 10 ? 3_600 : 900;
}
