/**
 * A session has no data key: it was stored before there was encryption and is not sealed yet, or its key was lost. Nothing
 * that hands its content on, or adds to it, works before an operator has mended that.
 */
export class DataKeyMissing extends Error {
  override readonly name = 'DataKeyMissing';
  readonly code = 'data_key_missing';

  constructor(sessionId: string) {
    super(`session ${sessionId} has no data key: restore its row in session_key`);
  }
}
