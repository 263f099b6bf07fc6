// The Postgres versions besides the shared one that tests run on: the oldest supported, where its package is built for the platform.

export const OLDER_VERSIONS: readonly number[] = process.platform === 'linux' && process.arch === 'x64' ? [12] : []
