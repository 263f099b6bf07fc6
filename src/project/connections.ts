// The open ends of a project: each connection is opened once, when it is first needed, and closed with the project.

import type { Project } from '../config/project.ts'
import type { ChangeFeed, ServerAddress } from '../contract/change-feed.ts'
import type { Connector } from '../contract/connector.ts'
import type { Source } from '../contract/source.ts'
import type { Target } from '../contract/target.ts'
import { LoadError } from '../core/errors.ts'

export type FindConnector = (type: string) => Promise<Connector>

export class Connections {
  readonly #project: Project
  readonly #find: FindConnector
  readonly #sources = new Map<string, Promise<Source>>()
  readonly #targets = new Map<string, Promise<Target>>()

  constructor(project: Project, find: FindConnector) {
    this.#project = project
    this.#find = find
  }

  source(name: string): Promise<Source> {
    return once(this.#sources, name, async () => {
      const { connector, config, at } = await this.#connector(name)
      if (connector.source === undefined)
        throw new LoadError('bad-project', `${at}: a ${connector.name} connection can't be a source.`, { where: at })
      return connector.source(config, name, this)
    })
  }

  target(name: string): Promise<Target> {
    return once(this.#targets, name, async () => {
      const { connector, config, at } = await this.#connector(name)
      if (connector.target === undefined)
        throw new LoadError('bad-project', `${at}: a ${connector.name} connection can't be a target.`, { where: at })
      return connector.target(config, name)
    })
  }

  /** What fills the topics of this connection; null where it does not say where that is. It holds nothing open. */
  async feed(name: string, from: string | null): Promise<ChangeFeed | null> {
    const { connector, config, at } = await this.#connector(name)
    if (connector.feed === undefined)
      throw new LoadError('bad-usage', `${at}: a ${connector.name} connection has no connectors.`, { where: at })
    return connector.feed(config, name, from === null ? null : await this.#address(from))
  }

  async #address(name: string): Promise<ServerAddress> {
    const { connector, config, at } = await this.#connector(name)
    if (connector.address === undefined)
      throw new LoadError('bad-project', `${at}: a ${connector.name} connection is no server that a connector could read.`, { where: at })
    return connector.address(config)
  }

  async #connector(name: string): Promise<{ connector: Connector; config: unknown; at: string }> {
    const connection = this.#project.connections[name]
    if (connection === undefined) throw new LoadError('bad-project', `The project has no connection "${name}".`)
    const connector = await this.#find(connection.type)
    try {
      return { connector, config: connector.parse(connection.options), at: connection.at }
    } catch (error) {
      if (!(error instanceof LoadError)) throw error
      const field = error.where === null ? '' : ` ${error.where}:`
      throw new LoadError(error.code, `${connection.at}:${field} ${error.message}`, { cause: error, where: connection.at })
    }
  }

  async close(): Promise<void> {
    const open = [...this.#sources.values(), ...this.#targets.values()]
    // A connection that never opened has nothing to close.
    await Promise.all(
      open.map((one) =>
        one.then(
          (end) => end.close(),
          () => {},
        ),
      ),
    )
  }
}

function once<T>(known: Map<string, Promise<T>>, name: string, open: () => Promise<T>): Promise<T> {
  const found = known.get(name) ?? open()
  known.set(name, found)
  return found
}
