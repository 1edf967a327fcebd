export interface ApplicationStore {
  /** Marks an application as deleted, once nothing is being minted by or for it; false when there is none to delete. */
  markDeleted(applicationId: string, organizationId: string): Promise<boolean>;
  /** Token ids of its open onboardings and of its tokens that could still be redeemed, as issuer or partner, in order. */
  openShares(applicationId: string): Promise<string[]>;
}
