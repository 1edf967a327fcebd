const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;

// A time zone is required: without one, each reader would take the time for its own.
const TIME = /^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-](0\d|1[0-5])(:?[0-5]\d)?)$/;

/** True for a day of the calendar written `YYYY-MM-DD` (year 1 or later). */
export function isCalendarDate(text: string): boolean {
  const [, year, month, day] = (DATE.exec(text) ?? []).map(Number);
  if (year === undefined || month === undefined || day === undefined || year < 1) return false;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

/** True for an ISO 8601 time with a zone, such as `2026-05-17T08:42:11Z` or `2026-05-17T10:42:11.5+02:00`. */
export function isIsoTime(text: string): boolean {
  if (!isCalendarDate(text.slice(0, 10)) || text[10] !== 'T' || !TIME.test(text.slice(11))) return false;
  // A zone can carry the first or the last day out of the years that have four digits.
  const year = new Date(text).getUTCFullYear();
  return Number.isNaN(year) || (year >= 1 && year <= 9999);
}
