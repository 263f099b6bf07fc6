// A child process that runs the project file of its arguments in small slices, which the command line has no option for.

import { openProject } from '../../src/project/open-project.ts'

const [file = '', sliceRows = ''] = process.argv.slice(2)
await using project = await openProject(file, { settings: { sliceRows: Number(sliceRows) } })
const result = await project.run()
process.exitCode = result.ok ? 0 : 1
