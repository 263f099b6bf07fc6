/** What a check has to say. */
export interface Finding {
  readonly severity: 'error' | 'warning' | 'info'
  readonly code: string
  readonly message: string
  readonly hint: string
}
