/** Sends mail to the people of organizations. */
export interface Mailer {
  /**
   * Sends a one-time code that proves an address.
   *
   * @param to an e-mail address, in clear; must not be logged
   * @param minutes how long the code works
   */
  sendCode(to: string, code: string, minutes: number): Promise<void>;
  /** Tells somebody who registered again that the address has an account. */
  sendAlreadyRegistered(to: string): Promise<void>;
  /** Closes its connections. */
  close(): Promise<void>;
}
