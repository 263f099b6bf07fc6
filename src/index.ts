// The public API.

export { defineProject } from './config/define-project.ts'
export type { FeedPreview, FeedRemoved, FeedStatus } from './contract/change-feed.ts'
export { type ErrorCode, LoadError } from './core/errors.ts'
export type { PipelineResult, RunEvent, RunStatus } from './core/event.ts'
export type { Plan, Step } from './core/plan.ts'
export type { Position } from './core/position.ts'
export type { QuarantinedChange, Replayed } from './core/quarantine.ts'
export type { HistoryRow, StateRow } from './core/state.ts'
export { type OpenProject, type OpenProjectOptions, openProject, type RunOptions, type RunResult } from './project/open-project.ts'
export type { PipelineConnector } from './project/pipeline-connector.ts'
export { getWatermark, type Queryable, updateWatermark } from './sql/watermark-functions.ts'
