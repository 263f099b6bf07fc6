import type * as z from 'zod/mini'
import type { projectSchema } from './project-schema.ts'

/** A project as an object, in the same words as the project file. */
export type ProjectInput = z.input<typeof projectSchema>

type ConnectionInput = ProjectInput['connections'][string]
type PipelineInput = ProjectInput['pipelines'][string]

/** A pipeline in which the fields that `defaults` gives may be left out, and only known connections are named. */
type PipelineBeside<Defaults, Connection extends string> = Beside<PipelineInput, Defaults, Connection>

/** Of each pattern by itself. */
type Beside<P extends PipelineInput, Defaults, Connection extends string> = P extends unknown
  ? Omit<P, keyof Defaults | 'source' | 'target'> &
      Partial<Omit<P, 'source' | 'target'>> &
      Side<P, 'source', Defaults, Connection> &
      Side<P, 'target', Defaults, Connection>
  : never

type Side<P extends PipelineInput, Name extends 'source' | 'target', Defaults, Connection extends string> = Name extends keyof Defaults
  ? { readonly [Key in Name]?: Named<P[Name], Connection> }
  : { readonly [Key in Name]: Named<P[Name], Connection> }

/** Of each form of a side by itself. */
type Named<SideInput, Connection extends string> = SideInput extends unknown
  ? Omit<SideInput, 'connection'> & { readonly connection: Connection }
  : never

interface Definition<Connection extends string, Defaults> {
  readonly connections: Readonly<Record<Connection, ConnectionInput>>
  readonly defaults?: Defaults
  readonly pipelines: Readonly<Record<string, PipelineBeside<NoInfer<Defaults>, NoInfer<Connection>>>>
}

/** Gives a project in TypeScript its types; it is checked when it is loaded. */
export function defineProject<
  Connection extends string,
  const Defaults extends NonNullable<ProjectInput['defaults']> = Record<never, never>,
>(project: Definition<Connection, Defaults>): ProjectInput {
  return project as unknown as ProjectInput
}
