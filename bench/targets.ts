/** What a ratio or a figure has to reach. */
export interface Target {
  /** The name of the part that measures it. */
  readonly part: string;
  /** Whether more is better, or less. */
  readonly better: 'more' | 'less';
  /** Null where it is reported alone. */
  readonly must: number | null;
  readonly aim: number | null;
}

const more = (part: string, must: number | null, aim: number): Target => ({ part, better: 'more', must, aim });
const less = (part: string, must: number, aim: number): Target => ({ part, better: 'less', must, aim });

/** By the names of ratios and figures, in the order of the report. */
export const TARGETS: Readonly<Record<string, Target>> = {
  mint_http_vs_sql: more('sharing', 0.6, 0.8),
  import_http_vs_sql: more('sharing', 0.6, 0.8),
  onboarding_vs_bare: more('onboarding', 1, 1.4),
  automatic_vs_bare: more('onboarding', 1.2, 1.8),
  onboarding_latency_vs_bare: less('onboarding', 0.9, 0.5),
  onboarding_vs_dbos: more('dbos', null, 0.6),
  webhook_vs_undici: more('webhooks', 0.7, 0.9),
  growth_mint: less('growth', 1.3, 1.1),
  growth_import: less('growth', 1.3, 1.1),
  growth_list: less('growth', 1.3, 1.1),
  recovery_seconds: less('recovery', 25, 10),
};

/** How a number stands to its target: it misses what it must reach, is there, or where it should be. */
export type Verdict = 'missed' | 'ok' | 'aim';

/** Null for a name without a target, or one that is only reported. */
export function judge(name: string, median: number): Verdict | null {
  const target = TARGETS[name];
  if (target === undefined) return null;
  const reaches = (limit: number) => (target.better === 'more' ? median >= limit : median <= limit);
  if (target.aim !== null && reaches(target.aim)) return 'aim';
  if (target.must === null) return null;
  return reaches(target.must) ? 'ok' : 'missed';
}
