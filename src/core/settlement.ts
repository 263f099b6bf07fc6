import type { Claim } from './ledger.ts'
import type { State } from './state.ts'

/** What the target remembers from a commit on, and what must be true for it to be made. */
export type Settlement =
  /** The pipeline's state moves on; void once it is no longer `from`. */
  | { readonly kind: 'state'; readonly from: State | null; readonly to: State }
  /** One partition is done; void once another claim was made for it. */
  | { readonly kind: 'partition'; readonly claim: Claim; readonly checksum: string | null; readonly closed: boolean }
