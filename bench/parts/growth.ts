import type { Findings, Part } from '../frame.ts';
import { withLab } from '../lab.ts';
import { measureBytes } from '../growth/stored-bytes.ts';
import { measureOnboardingsBesideStored } from '../growth/onboardings-beside-stored.ts';
import { measureOpenOnboardings } from '../growth/open-onboardings.ts';
import { measureStoredSessions } from '../growth/stored-sessions.ts';

/** How calls and memory grow with what is stored and what is open, and what a session takes on the disk. */
export const growth: Part = {
  name: 'growth',
  shows:
    'calls where an application has many sessions, onboardings where many are open; bytes of a session and a clone',
  run: async (lab) => {
    const stored = await withLab(lab, measureStoredSessions);
    // Three stacks more, and another million of sessions: not within five minutes.
    const beside = lab.quick ? null : await withLab(lab, measureOnboardingsBesideStored);
    const open = await withLab(lab, measureOpenOnboardings);
    const bytes = await withLab(lab, measureBytes);
    return {
      ratios: { ...stored.ratios, ...beside?.ratios, ...open.ratios },
      figures: { ...stored.figures, ...beside?.figures, ...open.figures, ...bytes },
    } satisfies Findings;
  },
};
