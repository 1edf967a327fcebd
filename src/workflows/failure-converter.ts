import { DefaultFailureConverter } from '@temporalio/common';

/**
 * Puts the message and stack of a failure into a payload, which a codec then encrypts; read back, it is the same. Bundled
 * with the workflow code, and loaded by the worker, only where payloads are encrypted: without that, the Web UI would
 * show nothing but "Encoded failure".
 */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
