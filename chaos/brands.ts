/** An application of the load, with what its endpoint's deliveries are signed with. */
export interface Brand {
  readonly id: string;
  readonly key: string;
  /** Default verification workflow for people; and for companies. */
  readonly workflows: { readonly user: string; readonly business: string };
  readonly destinationId: string;
  /** As shown once when the destination was created. */
  readonly secrets: { readonly secret_shared_key: string; readonly secret_standard_webhooks: string };
}
