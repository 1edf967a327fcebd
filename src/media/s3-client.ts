import type * as S3 from '@aws-sdk/client-s3';

/** The SDK, once it is loaded, and a client of it. */
export interface OpenedS3 {
  readonly sdk: typeof S3;
  readonly client: S3.S3Client;
}

const ATTEMPTS = 3;

/**
 * Loads the SDK, so that nobody else carries it, and makes a client of S3, or of a server that speaks S3 at `endpoint`
 * (addressed by path). Region and credentials come from the SDK's own chain.
 */
export async function openS3(endpoint: string | null): Promise<OpenedS3> {
  const sdk = await import('@aws-sdk/client-s3');
  const client = new sdk.S3Client({
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: 3_000, requestTimeout: 10_000, throwOnRequestTimeout: true },
    // Other servers know fewer checksums than Amazon's; TLS and the callers' own hashes stand for them.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(endpoint !== null && {
      endpoint,
      forcePathStyle: true,
      region: process.env['AWS_REGION'] || 'us-east-1',
    }),
  });
  return { sdk, client };
}
