import { processSettings } from '../test/support/process-settings.ts';

/** Where our processes find what they stand on. */
export interface Surroundings {
  /** Of the run: files and anchors are kept below it. */
  readonly folder: string;
  /** By the proxy. */
  readonly databaseUrl: string;
  /** `host:port`, by the proxy. */
  readonly temporalAddress: string;
  /** Origin in links to files. */
  readonly publicUrl: string;
}

/** What each of our processes is started with. */
export function settingsFor({ folder, databaseUrl, temporalAddress, publicUrl }: Surroundings): Record<string, string> {
  return processSettings(folder, databaseUrl, {
    TEMPORAL_ADDRESS: temporalAddress,
    PUBLIC_URL: publicUrl,
    LOG_LEVEL: 'info',
  });
}
