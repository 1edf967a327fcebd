/** Steps that do nothing. */
export interface BareActivities {
  first(): Promise<void>;
  second(): Promise<void>;
  third(): Promise<void>;
  fourth(): Promise<void>;
}

const nothing = () => Promise.resolve();

export const bareActivities: BareActivities = { first: nothing, second: nothing, third: nothing, fourth: nothing };
